"""Functions that a file defines and calls as operators: written out before it is read."""

from collections.abc import Iterable, Iterator

import onnx
import onnx.inliner

from ..errors import InputError, UnsupportedError

_MOST_NODES = 100_000
_DEEPEST = 100  # calls within calls
_STANDARD = ("", "ai.onnx")

Key = tuple[str, str, str]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions. Raises `UnsupportedError` for too many nodes, `InputError` for calls in a circle."""
    if not model.functions:
        return model
    if any(function.domain in _STANDARD for function in model.functions):
        raise UnsupportedError("the file redefines standard operators by functions of its own. Export it without.")
    bodies = {(f.domain, f.name, f.overload): list(_all(f.node)) for f in model.functions}
    known: dict[Key, int] = {}
    _count(_all(model.graph.node), bodies, known, ())
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # whatever its C++ throws
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the file's functions cannot be written out: {reason}. Export it without functions."
        ) from error


def _count(nodes: Iterable[onnx.NodeProto], bodies: dict[Key, list], known: dict[Key, int], within: tuple) -> int:
    """How many nodes these become; `known`: of each function."""
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type, node.overload)
        if key not in bodies:
            total += 1
            continue
        if key in within or len(within) > _DEEPEST:
            raise InputError(f"the function {node.op_type!r} calls itself, or too deeply. Export it without functions.")
        if key not in known:
            known[key] = _count(bodies[key], bodies, known, (*within, key))
        total += known[key]
        if total > _MOST_NODES:
            raise UnsupportedError(
                f"the file's functions, written out, have more than {_MOST_NODES} nodes. Export it without functions."
            )
    return total


def _all(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Those in branches and loops too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _all(graph.node)
