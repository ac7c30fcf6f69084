"""Functions that a file defines and calls as operators: written out before it is read."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import onnx
import onnx.inliner

from ..errors import InputError, UnsupportedError

_MOST_NODES = 100_000
_MOST_BYTES = 2**28
_DEEPEST = 100  # calls within calls
_STANDARD = ("", "ai.onnx")

Key = tuple[str, str, str]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions. Raises `UnsupportedError` for too much, `InputError` for calls in a circle."""
    if len(model.graph.node) > _MOST_NODES:
        raise UnsupportedError(
            f"the file has {len(model.graph.node)} nodes; supported: at most {_MOST_NODES}. Check the export."
        )
    if not model.functions:
        return model
    if any(function.domain in _STANDARD for function in model.functions):
        raise UnsupportedError("the file redefines standard operators by functions of its own. Export it without.")
    bodies = {(f.domain, f.name, f.overload): list(_all(f.node)) for f in model.functions}
    nodes = list(_all(model.graph.node))
    defaults = [attribute.ByteSize() for function in model.functions for attribute in function.attribute_proto]
    places = _Places(chain(nodes, *bodies.values()), bodies, max(defaults, default=0))
    _count(nodes, bodies, places, {}, ())
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # whatever its C++ throws
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the file's functions cannot be written out: {reason}. Export it without functions."
        ) from error


class _Places:
    """What a node takes where its operands' names and the attributes that it refers to are filled in: at most."""

    def __init__(self, nodes: Iterable[onnx.NodeProto], bodies: Mapping[Key, list], default: int) -> None:
        self.name, self.attribute = 0, default  # the largest
        for node in nodes:
            self.name = max(self.name, *(len(name) for name in (node.name, *node.input, *node.output)))
            if _key(node) in bodies:
                self.attribute = max(self.attribute, node.ByteSize())

    def bytes(self, node: onnx.NodeProto) -> int:
        filled = sum(bool(attribute.ref_attr_name) for attribute in node.attribute)
        return node.ByteSize() + self.name * (1 + len(node.input) + len(node.output)) + self.attribute * filled


def _count(
    nodes: Iterable[onnx.NodeProto],
    bodies: Mapping[Key, list],
    places: _Places,
    known: dict[Key, tuple[int, int]],
    within: tuple,
) -> tuple[int, int]:
    """How many nodes these become, and of how many bytes; `known`: of each function."""
    total, size = 0, 0
    for node in nodes:
        key = _key(node)
        if key not in bodies:
            total, size = total + 1, size + places.bytes(node)
        elif key in within or len(within) > _DEEPEST:
            raise InputError(f"the function {node.op_type!r} calls itself, or too deeply. Export it without functions.")
        else:
            if key not in known:
                known[key] = _count(bodies[key], bodies, places, known, (*within, key))
            total, size = total + known[key][0], size + known[key][1]
        if total > _MOST_NODES or size > _MOST_BYTES:
            raise UnsupportedError(
                f"the file's functions, written out, have more than {_MOST_NODES} nodes or {_MOST_BYTES} bytes. Export "
                "it without functions."
            )
    return total, size


def _key(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _all(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Those in branches and loops too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _all(graph.node)
