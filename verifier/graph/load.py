"""ONNX file -> canonical graph, weights and metadata: the straight line."""

from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from ..errors import GlscertError, InputError
from .builder import Builder
from .declared import readings
from .ending import end, endings
from .functions import inlined
from .ir import Graph
from .model import Model
from .names import names_of_file
from .proto import (
    OnnxNode,
    checked_opset,
    constants,
    live_nodes,
    node_name,
    onnx_node,
    own_metadata,
)
from .read import DEFAULT_MAX_BYTES, ModelFile, read_model
from .reading import Port, Reading
from .simplify import absorb_channel_axis, simplify
from .spread import padded
from .translate import check_supported, translate


def load_model(
    path: Path | str | ModelFile, entries: int | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Model:
    """Reads an ONNX file (`.onnx`, or gzip'ed), as the function of one image, in the canonical operators.

    The graph's output is always a vector [K], of logits where the file goes on to a last Softmax, LogSoftmax or ArgMax.
    Of several inputs it takes all entries as one vector, in the file's order, and gives those of several outputs so.
    entries: numbers of an image, where they are known; they tell whether a fixed first axis is a batch.
    Weights keep the file's dtype (float32 or float64); what follows from them and float32 does not hold is float64.
    Raises `InputError` where the file is absent, damaged or larger than `max_bytes` (packed or not), and
    `UnsupportedError` where the network needs what is not implemented; both name the file and the remedy.
    """
    file = read_model(path, max_bytes)
    try:
        return from_proto(file.model, entries)
    except GlscertError as error:
        raise type(error)(f"{file.path}: {error}") from error


def from_proto(proto: onnx.ModelProto, entries: int | None = None) -> Model:
    """As `load_model`, from a parsed model; nothing outside `proto` is opened."""
    read = translated(proto, entries)
    reading, dims, builder = read.reading, read.reading.inputs[0].dims, read.builder
    names = builder.names
    graph, params = simplify(read.graph, read.builder.params, names)
    if reading.batch is None and len(reading.inputs) == 1 and len(dims) == 3 and dims[0] == 1:
        graph, params = absorb_channel_axis(graph, params, names)
    return Model(
        replace(graph, ending=read.ending, rounding=builder.rounding, deployed=builder.deployed, reading=reading),
        params,
        own_metadata(proto),
    )


class Translated(NamedTuple):
    """A file as it was read: `live`, its nodes in order; `graph` made of them, not simplified yet."""

    reading: Reading
    live: list[onnx.NodeProto]
    builder: Builder
    graph: Graph
    ending: str | None


def translated(proto: onnx.ModelProto, entries: int | None = None) -> Translated:
    """The first of the file's `readings` that its operators bear out. Raises as `from_proto`."""
    opset, proto = checked_opset(proto), inlined(proto)
    first, *others = readings(proto.graph, entries)
    try:
        return _translated(proto, opset, first)
    except GlscertError:
        for other in others:
            with suppress(GlscertError):
                return _translated(proto, opset, other)
        raise


def _translated(proto: onnx.ModelProto, opset: int, reading: Reading) -> Translated:
    inputs, outputs = [port.name for port in reading.inputs], reading.outputs
    live = live_nodes(proto.graph, inputs, outputs)
    last = endings(live, outputs)
    ends = [node.output[0] for node in last]
    for node in live:
        if node.output[0] not in ends:
            check_supported(node.op_type, node.domain, node_name(node))
    _check_standard(live, opset)
    if last and last[0].op_type == "ArgMax":  # what moves the index afterwards is onnxruntime's alone
        outputs = (ends[0],)
        live = live_nodes(proto.graph, inputs, outputs)
    builder = Builder(reading, constants(proto.graph, live), names_of_file(proto.graph))
    with np.errstate(all="ignore"):  # an infinity or NaN is found, and named, where it is used as a weight
        for node in live:
            if node.output[0] in ends:
                end(builder, onnx_node(node), opset)
            else:
                translate(builder, onnx_node(node))
    graph = _finished(builder, outputs)
    compared = (last[-1].input[0],) if last else outputs
    reading = replace(reading, logits=tuple(Port(name, builder.value(name).dims) for name in compared))
    return Translated(reading, live, builder, graph, last[0].op_type if last else None)


def _finished(builder: Builder, outputs: tuple[str, ...]) -> Graph:
    """Of several outputs the entries of all, one after the other."""
    unmoved = [name for name in outputs if name in builder.consts or (name,) == outputs == (builder.input,)]
    if unmoved:
        raise InputError(f"the output {unmoved[0]!r} does not depend on the input. Export the network again.")
    label = builder.names.fresh("output")
    origin = OnnxNode("Concat", label, (), outputs if len(outputs) == 1 else (label,))
    values = [builder.value(name).name for name in outputs]
    sizes = [prod(builder.shapes[name]) for name in values]
    rows = [builder.reshape(origin, name, (size,)) for name, size in zip(values, sizes, strict=True)]
    result, *others = [
        padded(builder, origin, row, 0, sum(sizes[:place]), sum(sizes[place + 1 :])) for place, row in enumerate(rows)
    ]
    for part in others:
        result = builder.emit(origin, "Add", [result, part])
    return Graph(builder.input, result, tuple(builder.nodes), builder.shapes)


def _check_standard(live: list[onnx.NodeProto], opset: int) -> None:
    """Attributes and operand counts as the ONNX standard has them, by its own checker."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {"": opset, "ai.onnx": opset}
    for node in live:
        try:
            onnx.checker.check_node(node, context)
        except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split("==>")[0].split()).rstrip(".")
            raise InputError(f"the file breaks the ONNX standard: {reason}. Export it again.") from error
        _check_operands(node, opset)


def _check_operands(node: onnx.NodeProto, opset: int) -> None:
    """What the checker lets pass and onnxruntime crashes on: one of any number of operands without a name."""
    formal = onnx.defs.get_schema(node.op_type, opset, "").inputs
    for place, name in enumerate(node.input):
        option = formal[min(place, len(formal) - 1)].option
        if not name and option != onnx.defs.OpSchema.FormalParameterOption.Optional:
            raise InputError(
                f"the file breaks the ONNX standard: operator {node.op_type} (node {node_name(node)!r}) has no name "
                f"for operand {place + 1} of {len(node.input)}. Leave the operand out, and export it again."
            )
