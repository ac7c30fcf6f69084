"""A network cut in two at one of its values."""

from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph


def tail(graph: Graph, value: str) -> Graph:
    """The part of the network that computes its output from `value`.

    Raises InputError where the output depends on the input other than through `value`.
    """
    nodes, known = [], {value}
    for node in graph.nodes:
        inside = [name in known for name in node.inputs]
        if all(inside):
            nodes.append(node)
            known.add(node.output)
        elif any(inside):
            raise InputError(
                f"the network cannot be cut at {value!r}: {node.op} ({node.name!r}) also reads what lies before it. "
                "Cut elsewhere (option relus), or take another method."
            )
    return Graph(value, graph.output, tuple(nodes), graph.shapes)
