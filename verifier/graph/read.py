"""ONNX file -> parsed model. Sizes are bounded before anything is read; nothing outside the file is ever opened."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ..errors import InputError
from ..files import read_bytes
from .declared import declared_inputs, declared_outputs
from .proto import live_nodes

DEFAULT_MAX_BYTES = 512 * 2**20
ONNX_FILE = "ONNX file"


def read_proto(path: Path | str, max_bytes: int = DEFAULT_MAX_BYTES) -> onnx.ModelProto:
    """The model in `path`, plain or gzip'ed. Raises `InputError` where there is none or it is too large."""
    path = Path(path)
    return _parsed(path, read_bytes(path, max_bytes, ONNX_FILE))


def read_live(path: Path | str, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The file's bytes, unpacked and without the nodes that its outputs do not depend on. Raises as `read_proto`."""
    path = Path(path)
    data = read_bytes(path, max_bytes, ONNX_FILE)
    model = _parsed(path, data)
    inputs = [value.name for value in declared_inputs(model.graph)]
    live = live_nodes(model.graph, inputs, declared_outputs(model.graph))
    if len(live) == len(model.graph.node):
        return data
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in live]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()


def _parsed(path: Path, data: bytes) -> onnx.ModelProto:
    if not data:
        raise InputError(f"{path} is empty. Give an ONNX file, such as one written by `glscli export`.")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise InputError(_not_onnx(path)) from error
    if not model.ir_version or not model.graph.node:
        raise InputError(_not_onnx(path))
    if not all(isinstance(text, str) for text in _texts(model)):  # protobuf gives what is not UTF-8 as bytes
        raise InputError(f"{path} is damaged: a name in it is not text. Copy it or export it again.")
    return model


def _texts(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """Every name and property that is read later."""
    graph = model.graph
    yield from (entry.domain for entry in model.opset_import)
    yield from (function.domain for function in model.functions)
    for entry in model.metadata_props:
        yield from (entry.key, entry.value)
    for value in (*graph.input, *graph.output):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def _not_onnx(path: Path) -> str:
    return (
        f"{path} is not an ONNX model: it is text, another format, or cut short. Give a file written by "
        "`glscli export` or torch.onnx.export."
    )
