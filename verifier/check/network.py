"""The network as the checker sees it: the file's nodes in their order, each as its steps over flat tensors. No rewrite,
no fusion: what a tensor of the file is called has its own number here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import onnx

from .builder import Builder, Node, Step, Value, Variable
from .curves import Greatest, Unary
from .digest import read_tensor
from .operators import ENDINGS, apply
from .refusal import NotCovered
from .rounding import FLOAT32, FLOAT64, Arithmetic
from .steps import Conv, Entrywise

_OPSETS = range(7, 27)
_FLOATS: dict[int, Any] = {onnx.TensorProto.FLOAT: np.dtype(np.float32), onnx.TensorProto.DOUBLE: np.dtype(np.float64)}
INPUT = 0  # its tensor's number


class Folded(NamedTuple):
    """What entrywise steps folded into a product make of it: sources, the tensors that its factors meet; greatest, the
    size that no factor exceeds on the way."""

    sources: frozenset[int]
    greatest: float


@dataclass(frozen=True, eq=False)
class Network:
    """sizes: of every tensor by its number; names: in the file, of those that it names. steps: those that the output
    depends on, in the file's order. ending: a last operator that keeps the order of scores, left out here.
    room: by tensor, the roundings of its terms in entrywise steps that a runtime may fold into the one before."""

    steps: tuple[Step, ...]
    sizes: tuple[int, ...]
    output: int
    input_shape: tuple[int, ...]
    floating: np.dtype
    ending: str | None
    names: Mapping[int, str]
    room: Mapping[int, int]

    @cached_property
    def bends(self) -> tuple[int, ...]:
        """Where in `steps` the nonlinear ones stand: a certificate's numbers of nodes count these."""
        return tuple(place for place, step in enumerate(self.steps) if isinstance(step, Unary | Greatest))

    @cached_property
    def widest(self) -> int:
        wide = max(max(self.sizes[number] for number in (step.output, *inputs_of(step))) for step in self.steps)
        inner = [
            step.products * math.prod(step.spatial) * len(step.weights) for step in self.steps if isinstance(step, Conv)
        ]
        return max(wide, *inner, 1)

    @cached_property
    def exact_boxes(self) -> frozenset[int]:
        """Places of nonlinear steps whose input's intervals nothing can improve: at most one step that computes, and
        none that is nonlinear, lies between the input and them."""
        depth, found = {INPUT: 0}, set()
        for place, step in enumerate(self.steps):
            behind = max(depth.get(number, 0) for number in inputs_of(step))
            if isinstance(step, Unary | Greatest):
                if behind <= 1:
                    found.add(place)
                behind = 2
            depth[step.output] = behind + (not isinstance(step, Unary | Greatest) and not step.moves)
        return frozenset(found)

    @cached_property
    def folded(self) -> dict[int, Folded]:
        """By tensor, of affine steps."""
        found: dict[int, Folded] = {}
        for step in self.steps:
            if isinstance(step, Unary | Greatest):
                continue
            before = [found[n] for n in step.inputs if n in found] if isinstance(step, Entrywise) else []
            greatest = step.greatest * max([1.0, *(each.greatest for each in before)])
            found[step.output] = Folded(frozenset(step.inputs).union(*(each.sources for each in before)), greatest)
        return found

    @property
    def arithmetic(self) -> Arithmetic:
        """What a runtime computes in."""
        return FLOAT32 if self.floating == np.float32 else FLOAT64


def inputs_of(step: Step) -> tuple[int, ...]:
    return (step.input,) if isinstance(step, Unary | Greatest) else step.inputs


def read_network(model: onnx.ModelProto) -> Network:
    """Raises NotCovered, with the operator, where the file holds what the checker does not follow."""
    graph = model.graph
    opset = _opset(model)
    names: dict[str, Value] = {}
    for tensor in graph.initializer:
        _define(names, tensor.name, read_tensor(tensor))
    fed = [info for info in graph.input if info.name not in names]
    if len(fed) != 1 or len(graph.output) != 1:
        raise NotCovered(f"{len(fed)} inputs and {len(graph.output)} outputs; one of each is covered.")
    floating, shape = _input(fed[0])
    builder = Builder(floating)
    _define(names, fed[0].name, Variable(builder.tensor(math.prod(shape)), shape))
    ending, wanted = None, graph.output[0].name
    for proto in graph.node:
        if proto.op_type in ENDINGS and wanted in proto.output and _keeps_order(proto, names, opset):
            ending, wanted = proto.op_type, proto.input[0]
            continue
        _follow(proto, builder, names, opset)
    found = names.get(wanted)
    if not isinstance(found, Variable):
        raise NotCovered(f"the output {wanted!r} does not depend on the input.")
    steps = _live(builder.steps, found.number)
    if not steps:
        raise NotCovered("the network has no operators.")
    return Network(
        steps, tuple(builder.sizes), found.number, shape, floating, ending, builder.names, _room(steps, builder.folding)
    )


def _opset(model: onnx.ModelProto) -> int:
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in _OPSETS:
        raise NotCovered(f"operators of version {versions}; {_OPSETS[0]} to {_OPSETS[-1]} are covered.")
    return int(versions[0])


def _input(info: onnx.ValueInfoProto) -> tuple[np.dtype, tuple[int, ...]]:
    kind = info.type.tensor_type
    if kind.elem_type not in _FLOATS or not kind.HasField("shape"):
        raise NotCovered(f"the input {info.name!r} is no tensor of float32 or float64 with a shape.")
    dims = [int(dim.dim_value) for dim in kind.shape.dim]
    if dims and dims[0] == 0:
        dims[0] = 1  # the batch
    if any(dim < 1 for dim in dims):
        raise NotCovered(f"the input {info.name!r} has dimensions of no stated size beside the batch.")
    return _FLOATS[kind.elem_type], tuple(dims)


def _define(names: dict[str, Value], name: str, value: Value) -> None:
    if name in names:
        raise NotCovered(f"the name {name!r} is given twice.")
    names[name] = value


def _follow(proto: onnx.NodeProto, builder: Builder, names: dict[str, Value], opset: int) -> None:
    if proto.domain not in ("", "ai.onnx"):
        raise NotCovered(f"{proto.op_type} of the domain {proto.domain!r} is not covered.")
    node = Node(proto.op_type, _attributes(proto), opset, sum(1 for name in proto.output if name))
    inputs: list[Value | None] = []
    for name in proto.input:
        if name and name not in names:
            raise node.refuse(f"it reads {name!r}, which nothing before it makes.")
        inputs.append(names[name] if name else None)
    for name, value in zip(proto.output, apply(node, builder, inputs), strict=False):
        if name:
            _define(names, name, value)
        if name and isinstance(value, Variable):
            builder.names.setdefault(value.number, name)  # a move of all entries makes no other tensor


def _attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.ref_attr_name or attribute.name in found:
            raise NotCovered(f"{proto.op_type}: the attribute {attribute.name!r} is a reference, or given twice.")
        try:
            value = onnx.helper.get_attribute_value(attribute)
        except ValueError as error:
            raise NotCovered(f"{proto.op_type}: {str(error)[:200]}") from None
        found[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found


def _keeps_order(proto: onnx.NodeProto, names: dict[str, Value], opset: int) -> bool:
    value = names.get(proto.input[0]) if proto.input else None
    if not isinstance(value, Variable) or proto.domain not in ("", "ai.onnx"):
        return False
    rank = len(value.shape)
    axis = _attributes(proto).get("axis", -1 if opset >= 13 else 1)
    return rank >= 1 and axis in (-1, rank - 1) and value.shape[-1] == value.size > 1


def _live(steps: list[Step], output: int) -> tuple[Step, ...]:
    needed, kept = {output}, []
    for step in reversed(steps):
        if step.output in needed:
            kept.append(step)
            needed.update(inputs_of(step))
    return tuple(reversed(kept))


def _room(steps: tuple[Step, ...], folding: Mapping[int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for step in reversed(steps):
        behind = found.get(step.output, 0) + folding[step.output] if step.output in folding else 0
        for number in inputs_of(step):
            found[number] = max(found.get(number, 0), behind)
    return found
