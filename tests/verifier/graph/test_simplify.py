"""Every rewrite keeps the function, and does what it is there for."""

from dataclasses import replace

import numpy as np
import pytest

from glscert.verifier.graph import Graph, Model, Node, infer_shapes
from glscert.verifier.graph.names import Names
from glscert.verifier.graph.simplify import (
    REWRITES,
    absorb_channel_axis,
    drop_unused,
    fuse_gemm_add,
    merge_reshapes,
    simplify,
)
from onnx_models import normal, run_loaded
from random_graphs import GRAPHS


def names_of_graph(graph, params):
    """Every name is taken that the canonical graph has."""
    parts = (part for node in graph.nodes for part in (node.name, node.output))
    return Names([graph.input, *parts, *graph.shapes, *params])


def network(shape: tuple[int, ...], nodes: list[Node], params: dict[str, np.ndarray]) -> tuple[Graph, dict]:
    return Graph("x", nodes[-1].output, tuple(nodes), infer_shapes("x", shape, nodes, params)), params


def outputs(graph: Graph, params: dict[str, np.ndarray]) -> np.ndarray:
    dtype = next(iter(params.values())).dtype
    x = np.random.default_rng(1).uniform(-1, 1, (3, *graph.input_shape)).astype(dtype)
    return run_loaded(Model(graph, params, {}), x)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("rewrite", [*REWRITES, simplify, absorb_channel_axis], ids=lambda rewrite: rewrite.__name__)
def test_a_rewrite_keeps_the_function_and_states_true_shapes(name, rewrite) -> None:
    graph, params = GRAPHS[name](np.random.default_rng(3))
    after, kept = rewrite(graph, params, names_of_graph(graph, params))
    np.testing.assert_allclose(outputs(after, kept), outputs(graph, params), rtol=0, atol=1e-12)
    assert infer_shapes(after.input, after.input_shape, after.nodes, kept) == dict(after.shapes)


@pytest.mark.parametrize("name", GRAPHS)
def test_simplifying_twice_changes_nothing_more(name) -> None:
    network = GRAPHS[name](np.random.default_rng(3))
    once = simplify(*network, names_of_graph(*network))
    assert simplify(*once, names_of_graph(*once))[0] == once[0]


@pytest.mark.parametrize("shape", [(5,), (1,), ()])
def test_a_constant_after_a_product_becomes_its_bias(shape) -> None:
    nodes = [
        Node("Gemm", "g", ("x",), "h", ("w",)),
        Node("Add", "a", ("h",), "y", ("b",)),
        Node("Relu", "r", ("y",), "z"),
    ]
    params = {"w": normal(5, 4), "b": normal(*shape)}
    graph, params = network((4,), nodes, params)
    fused, kept = fuse_gemm_add(graph, params, names_of_graph(graph, params))
    assert [node.op for node in fused.nodes] == ["Gemm", "Relu"]
    np.testing.assert_array_equal(kept[fused.nodes[0].params[1]], np.broadcast_to(params["b"], 5))
    np.testing.assert_allclose(outputs(fused, kept), outputs(graph, params), rtol=0, atol=1e-6)


def test_a_product_that_is_read_elsewhere_keeps_its_constant_apart() -> None:
    nodes = [
        Node("Gemm", "g", ("x",), "h", ("w",)),
        Node("Add", "a", ("h",), "s", ("b",)),
        Node("Add", "t", ("s", "h"), "y"),
    ]
    graph, params = network((4,), nodes, {"w": normal(5, 4), "b": normal(5)})
    fused, kept = fuse_gemm_add(graph, params, names_of_graph(graph, params))
    assert fused == graph
    assert kept == params


def test_runs_of_reshapes_become_one() -> None:
    nodes = [
        Node("Reshape", "a", ("x",), "p", attrs={"shape": (2, 6)}),
        Node("Reshape", "b", ("p",), "q", attrs={"shape": (3, 4)}),
        Node("Flatten", "c", ("q",), "r"),
        Node("Gemm", "g", ("r",), "y", ("w",)),
    ]
    graph, params = network((3, 4), nodes, {"w": normal(2, 12)})
    merged, kept = merge_reshapes(graph, params, names_of_graph(graph, params))
    assert [node.op for node in merged.nodes] == ["Flatten", "Gemm"]
    np.testing.assert_array_equal(outputs(merged, kept), outputs(graph, params))


def test_a_reshape_to_the_same_shape_goes() -> None:
    nodes = [
        Node("Reshape", "a", ("x",), "p", attrs={"shape": (2, 6)}),
        Node("Reshape", "b", ("p",), "q", attrs={"shape": (12,)}),
        Node("Gemm", "g", ("q",), "y", ("w",)),
    ]
    graph, params = network((12,), nodes, {"w": normal(2, 12)})
    assert [node.op for node in merge_reshapes(graph, params, names_of_graph(graph, params))[0].nodes] == ["Gemm"]


def test_what_nothing_needs_goes() -> None:
    nodes = [Node("Gemm", "g", ("x",), "y", ("w",)), Node("Gemm", "d", ("x",), "dead", ("v",))]
    graph, params = network((4,), nodes, {"w": normal(5, 4), "v": normal(6, 4)})
    small, kept = drop_unused(replace(graph, output="y"), params, names_of_graph(graph, params))
    assert [node.name for node in small.nodes] == ["g"]
    assert set(kept) == {"w"}
    assert set(small.shapes) == {"x", "y"}
