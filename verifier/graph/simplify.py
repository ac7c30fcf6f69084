"""Rewrites of a canonical graph that keep the function: one per function, each sound on its own."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .ir import Graph, Node
from .names import Names
from .shapes import NONLINEAR

Params = dict[str, np.ndarray]
Network = tuple[Graph, Params]


def simplify(graph: Graph, params: Params, names: Names) -> Network:
    """Applies every rewrite of `REWRITES` in order; then drops what nothing needs any more. `names` for new parts."""
    for rewrite in REWRITES:
        graph, params = rewrite(graph, params, names)
    return graph, params


def fuse_gemm_add(graph: Graph, params: Params, names: Names) -> Network:
    """Gemm without bias, then Add of a constant (MatMul + Add): one Gemm with a bias."""
    readers = _readers(graph)
    by_source = {node.inputs[0]: node for node in graph.nodes if node.op == "Add" and node.params}
    params = dict(params)
    nodes: list[Node] = []
    fused: set[str] = set()
    for node in graph.nodes:
        if node.output in fused:
            continue
        after = by_source.get(node.output)
        if node.op != "Gemm" or len(node.params) != 1 or after is None or readers[node.output] != 1:
            nodes.append(node)
            continue
        out = graph.shapes[node.output]
        bias = params[after.params[0]]
        name = after.params[0]
        if bias.shape != out:
            name = names.fresh(f"{name}.bias")
            params[name] = np.array(np.broadcast_to(bias, out))
        nodes.append(replace(node, output=after.output, params=(*node.params, name)))
        fused.add(after.output)
    return drop_unused(replace(graph, nodes=tuple(nodes)), params, names)


def merge_reshapes(graph: Graph, params: Params, names: Names) -> Network:
    """Of a run of Flatten and Reshape only the last one counts, and one that changes no shape counts for nothing."""
    producers: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        if node.op in ("Flatten", "Reshape"):
            source = node.inputs[0]
            before = producers.get(source)
            if before is not None and before.op in ("Flatten", "Reshape"):
                source = before.inputs[0]
                node = replace(node, inputs=(source,))
            if graph.shapes[source] == graph.shapes[node.output] and node.output != graph.output:
                renamed[node.output] = source
                continue
        nodes.append(node)
        producers[node.output] = node
    return drop_unused(replace(graph, nodes=tuple(nodes)), params, names)


def drop_unused(graph: Graph, params: Params, names: Names) -> Network:
    """Leaves out nodes that the output does not depend on, and parameters and shapes that no node uses."""
    needed = {graph.output}
    kept = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    nodes = tuple(reversed(kept))
    values = (graph.input, *(node.output for node in nodes))
    used = dict.fromkeys(name for node in nodes for name in node.params)
    shapes = {name: graph.shapes[name] for name in values}
    return Graph(graph.input, graph.output, nodes, shapes), {name: params[name] for name in used}


def absorb_channel_axis(graph: Graph, params: Params, names: Names) -> Network:
    """A first Reshape that only puts a 1 in front ([28,28] to [1,28,28]) becomes the input's shape.

    For a file whose input has no batch axis: there a leading 1 is the channel, although it looks like a batch.
    """
    first = [node for node in graph.nodes if graph.input in node.inputs]
    wanted = (1, *graph.input_shape)
    if len(first) != 1 or first[0].op != "Reshape" or graph.shapes[first[0].output] != wanted:
        return graph, params
    old = first[0].output
    if old == graph.output:
        return graph, params
    nodes = tuple(
        replace(node, inputs=tuple(graph.input if name == old else name for name in node.inputs))
        for node in graph.nodes
        if node is not first[0]
    )
    return drop_unused(replace(graph, nodes=nodes, shapes={**graph.shapes, graph.input: wanted}), params, names)


def part_nonlinearities(graph: Graph, params: Params, names: Names) -> Network:
    """Where two kinds of nonlinearity read one value, the later kind reads a Reshape of it: lines go by value."""
    kinds: dict[str, str] = {}
    parted: dict[tuple[str, str], str] = {}
    shapes, nodes = dict(graph.shapes), []
    for node in graph.nodes:
        value = node.inputs[0]
        if node.op in NONLINEAR and kinds.setdefault(value, node.op) != node.op:
            if (value, node.op) not in parted:
                apart = parted[value, node.op] = names.fresh(f"{value}.{node.op.lower()}")
                shapes[apart] = shapes[value]
                nodes.append(Node("Reshape", apart, (value,), apart, attrs={"shape": shapes[value]}))
            node = replace(node, inputs=(parted[value, node.op],))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), shapes=shapes), params


REWRITES: tuple[Callable[[Graph, Params, Names], Network], ...] = (
    merge_reshapes,
    fuse_gemm_add,
    drop_unused,
    part_nonlinearities,
)


def _readers(graph: Graph) -> Counter[str]:
    """How often each value is read; the graph's output counts as read once more."""
    return Counter([name for node in graph.nodes for name in node.inputs] + [graph.output])
