"""ONNX file -> canonical graph, weights and metadata: the straight line."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import onnx

from ..errors import GlscertError, InputError
from .builder import Builder
from .ending import end, endings
from .functions import inlined
from .ir import Graph
from .model import Model
from .names import names_of_file
from .proto import (
    OnnxNode,
    checked_opset,
    constants,
    declared_input,
    declared_output,
    live_nodes,
    node_name,
    onnx_node,
    own_metadata,
)
from .read import DEFAULT_MAX_BYTES, ModelFile, read_model
from .simplify import absorb_channel_axis, simplify
from .translate import check_supported, translate


def load_model(path: Path | str | ModelFile, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Model:
    """Reads an ONNX file (`.onnx`, or gzip'ed), as the function of one image, in the canonical operators.

    The graph's output is always a vector [K], of logits where the file goes on to a last Softmax, LogSoftmax or ArgMax.
    Weights keep the file's dtype (float32 or float64); what follows from them and float32
    does not hold is float64.
    Raises `InputError` where the file is absent, damaged or larger than `max_bytes` (packed or not), and
    `UnsupportedError` where the network needs what is not implemented; both name the file and the remedy.
    """
    file = read_model(path, max_bytes)
    try:
        return from_proto(file.model)
    except GlscertError as error:
        raise type(error)(f"{file.path}: {error}") from error


def from_proto(proto: onnx.ModelProto) -> Model:
    """As `load_model`, from a parsed model; nothing outside `proto` is opened."""
    opset, proto = checked_opset(proto), inlined(proto)
    declared, output = declared_input(proto.graph), declared_output(proto.graph)
    live = live_nodes(proto.graph, declared.name, output)
    last = endings(live, output)
    ends = [node.output[0] for node in last]
    for node in live:
        if node.output[0] not in ends:
            check_supported(node.op_type, node.domain, node_name(node))
    _check_standard(live, opset)
    if last and last[0].op_type == "ArgMax":  # what moves the index afterwards is onnxruntime's alone
        output = ends[0]
        live = live_nodes(proto.graph, declared.name, output)
    names = names_of_file(proto.graph)
    builder = Builder(declared, constants(proto.graph, live), names)
    with np.errstate(all="ignore"):  # an infinity or NaN is found, and named, where it is used as a weight
        for node in live:
            if node.output[0] in ends:
                end(builder, onnx_node(node), opset)
            else:
                translate(builder, onnx_node(node))
    graph, params = simplify(_finished(builder, declared.name, output), builder.params, names)
    if not declared.dynamic and len(declared.dims) == 3 and declared.dims[0] == 1:
        graph, params = absorb_channel_axis(graph, params, names)
    graph = replace(graph, ending=last[0].op_type if last else None)
    return Model(graph, params, own_metadata(proto))


def _finished(builder: Builder, input: str, output: str) -> Graph:
    if output in builder.consts or output == input:
        raise InputError(f"the output {output!r} does not depend on the input. Export the network again.")
    last = OnnxNode("Flatten", builder.names.fresh("output"), (), (output,))
    result = builder.value(output).name
    if len(builder.shapes[result]) != 1:
        result = builder.reshape(last, result, (prod(builder.shapes[result]),))
    return Graph(input, result, tuple(builder.nodes), builder.shapes)


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
