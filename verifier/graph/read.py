"""ONNX file -> parsed model, with the weights in files beside it. Sizes are bounded before anything is read."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ..errors import GlscertError, InputError
from ..files import read_bytes
from .declared import declared_inputs, declared_outputs
from .external import take_in
from .proto import live_nodes, tensors
from .wire import check_parsed_size

DEFAULT_MAX_BYTES = 512 * 2**20
ONNX_FILE = "ONNX file"


class ModelFile(NamedTuple):
    """A model as it was read, once: what is loaded and what onnxruntime runs are the same bytes.

    sha256: of the file's bytes, unpacked, and of the weights in files beside it.
    """

    path: Path
    model: onnx.ModelProto
    sha256: str


def read_model(source: "Path | str | ModelFile", max_bytes: int = DEFAULT_MAX_BYTES) -> ModelFile:
    """The model in a file, plain or gzip'ed; one that was read already is given back.

    Raises `InputError` where there is none or it is too large, with the files beside it; `UnsupportedError` for weights
    outside of its folder.
    """
    if isinstance(source, ModelFile):
        return source
    path = Path(source)
    data = read_bytes(path, max_bytes, ONNX_FILE)
    model, digest = _parsed(path, data), hashlib.sha256(data)
    try:
        take_in(model, path.parent, max_bytes - len(data), digest.update)
    except GlscertError as error:
        raise type(error)(f"{path}: {error}") from error
    return ModelFile(path, model, digest.hexdigest())


def runnable(file: ModelFile) -> bytes:
    """The model without the nodes that its outputs do not depend on, for onnxruntime. Raises as `read_model`."""
    model = file.model
    inputs = [value.name for value in declared_inputs(model.graph)]
    live = live_nodes(model.graph, inputs, declared_outputs(model.graph))
    if len(live) != len(model.graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in live]
        model = onnx.ModelProto.FromString(model.SerializeToString())
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return model.SerializeToString()


def _parsed(path: Path, data: bytes) -> onnx.ModelProto:
    if not data:
        raise InputError(f"{path} is empty. Give an ONNX file, such as one written by `glscli export`.")
    try:
        check_parsed_size(data)
        model = onnx.load_model_from_string(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (DecodeError, ValueError) as error:
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
    for function in model.functions:
        yield from (function.domain, function.name, *function.input, *function.output, *function.attribute)
    for entry in model.metadata_props:
        yield from (entry.key, entry.value)
    for value in (*graph.input, *graph.output):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in tensors(model):
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)
    for node in chain(graph.node, *(function.node for function in model.functions)):
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def _not_onnx(path: Path) -> str:
    return (
        f"{path} is not an ONNX model: it is text, another format, or cut short. Give a file written by "
        "`glscli export` or torch.onnx.export."
    )
