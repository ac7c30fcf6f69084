"""The parts of a parsed ONNX model as plain Python values: nodes, constants, metadata."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from ..errors import InputError, UnsupportedError
from .model import METADATA_PREFIX
from .shapes import MOST_AXES

OPSETS = range(8, 26)
_DOMAINS = ("", "ai.onnx")
FLOATS: dict[int, np.dtype] = {TensorProto.FLOAT: np.dtype(np.float32), TensorProto.DOUBLE: np.dtype(np.float64)}
_DTYPES: dict[int, np.dtype] = FLOATS | {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.INT16: np.dtype(np.int16),
    TensorProto.UINT16: np.dtype(np.uint16),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.BOOL: np.dtype(np.bool_),
}


@dataclass(frozen=True)
class OnnxNode:
    """A node as the file has it; `name` falls back to the first output where the file leaves it out."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    def number(self, key: str, default: float) -> float:
        """A float attribute, or the standard's default for it, which is a float32 number too."""
        return float(np.float32(self.attrs.get(key, default)))


def checked_opset(model: onnx.ModelProto) -> int:
    """The opset, one of `OPSETS`. Raises for any other, and for parts that no supported network has."""
    versions = {entry.version for entry in model.opset_import if entry.domain in _DOMAINS}
    if len(versions) != 1:
        raise InputError(
            f"the file imports {sorted(versions) or 'no'} versions of the ONNX operators; exactly one is "
            "supported. Export it again."
        )
    (version,) = versions
    if version not in OPSETS:
        raise UnsupportedError(
            f"the file uses ONNX opset {version}; supported: {OPSETS.start} to {OPSETS.stop - 1}. "
            "Export it again with opset_version=17."
        )
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedError(
            f"the file uses ONNX IR version {model.ir_version}; supported: up to {onnx.IR_VERSION}. Export it again "
            "with an older onnx package."
        )
    if model.graph.sparse_initializer:
        raise UnsupportedError("the file holds sparse weights; supported: dense ones. Export it with dense weights.")
    if any(is_external(tensor) for tensor in tensors(model)):
        raise UnsupportedError(
            "the file keeps weights in a second file, and no folder to look for it is known. Load it by its path."
        )
    return version


def tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor that is read: initialisers and attributes, of functions too."""
    yield from model.graph.initializer
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)


def constants(graph: onnx.GraphProto, live: list[onnx.NodeProto]) -> dict[str, np.ndarray]:
    """Initialiser name -> array, for those that a node of `live` reads."""
    read = {name for node in live for name in node.input}
    repeated = [name for name, count in Counter(tensor.name for tensor in graph.initializer).items() if count > 1]
    if repeated:
        raise InputError(f"the file holds the weight {repeated[0]!r} twice. Export it again.")
    return {
        tensor.name: tensor_array(tensor, f"the weight {tensor.name!r}")
        for tensor in graph.initializer
        if tensor.name in read
    }


def live_nodes(graph: onnx.GraphProto, inputs: Iterable[str], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in the file's order.

    Raises `InputError` where a node reads what none before it computes (a cycle, a wrong order, a missing node).
    """
    known = {*inputs, ""} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for name in node.input:
            if name not in known:
                raise InputError(
                    f"operator {node.op_type} (node {node_name(node)!r}) reads {name!r}, which nothing "
                    "before it computes: the graph is cyclic, out of order or incomplete. Export it anew."
                )
        taken = [name for name in node.output if name and name in known]
        if taken:
            raise InputError(
                f"operator {node.op_type} (node {node_name(node)!r}) computes {taken[0]!r}, which has a "
                "value already. Export it again."
            )
        known.update(node.output)
    needed = set(outputs)
    missing = sorted(name for name in needed if name not in known or name == "")
    if missing:
        raise InputError(f"nothing computes the output {missing[0]!r}. Export it again.")
    live = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(name for name in node.input if name)
            live.append(node)
    return live[::-1]


def onnx_node(proto: onnx.NodeProto) -> OnnxNode:
    """A node of a supported operator with its attributes as Python values."""
    attrs = {attribute.name: _attribute(attribute, node_name(proto)) for attribute in proto.attribute}
    return OnnxNode(proto.op_type, node_name(proto), tuple(proto.input), tuple(proto.output), attrs)


def node_name(proto: onnx.NodeProto) -> str:
    return proto.name or next((name for name in proto.output if name), "")


def own_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The `org.glscli.*` properties without the prefix."""
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        key = entry.key.removeprefix(METADATA_PREFIX)
        if key == entry.key:
            continue
        if key in found:
            raise InputError(f"the file states {entry.key!r} twice. Export it again.")
        found[key] = entry.value
    return found


def tensor_dtype(tensor: TensorProto, what: str) -> np.dtype:
    """Raises `UnsupportedError` for a type that no supported network has."""
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None:
        raise UnsupportedError(
            f"{what} is {type_name(tensor.data_type)}; supported: float32 and float64 (and "
            "integers for shapes). Export the network in float32."
        )
    return dtype


def tensor_array(tensor: TensorProto, what: str) -> np.ndarray:
    """The tensor's numbers; the declared size is compared with the stored one before anything is allocated."""
    dtype = tensor_dtype(tensor, what)
    if any(size < 0 for size in tensor.dims):
        raise InputError(f"{what} declares the shape {list(tensor.dims)}. Export it again.")
    if len(tensor.dims) > MOST_AXES:
        raise UnsupportedError(f"{what} has {len(tensor.dims)} axes; supported: at most {MOST_AXES}. Check the export.")
    if tensor.HasField("segment"):
        raise UnsupportedError(f"{what} is stored in segments; supported: in one piece. Export the network again.")
    count = prod(tensor.dims)
    if tensor.HasField("raw_data"):
        stored = len(tensor.raw_data) // dtype.itemsize
        whole = len(tensor.raw_data) % dtype.itemsize == 0
    else:
        stored, whole = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type))), True
    if stored != count or not whole:
        raise InputError(f"{what} declares the shape {list(tensor.dims)} but stores {stored} numbers. Export it again.")
    return np.array(numpy_helper.to_array(tensor)).reshape(tuple(tensor.dims))  # a copy, which may be written to


def _attribute(attribute: AttributeProto, node: str) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return tensor_array(attribute.t, f"the attribute {attribute.name!r} of node {node!r}")
    if attribute.type == AttributeProto.STRING:
        return attribute.s.decode("utf-8", errors="replace")
    value = {
        AttributeProto.FLOAT: lambda: attribute.f,
        AttributeProto.INT: lambda: attribute.i,
        AttributeProto.FLOATS: lambda: tuple(attribute.floats),
        AttributeProto.INTS: lambda: tuple(attribute.ints),
    }.get(attribute.type)
    if value is None or attribute.ref_attr_name:
        raise UnsupportedError(
            f"the attribute {attribute.name!r} of node {node!r} is neither number, text nor tensor. "
            "Export the network with plain operators."
        )
    return value()


def type_name(elem_type: int) -> str:
    known = elem_type in TensorProto.DataType.values()
    return TensorProto.DataType.Name(elem_type).lower() if known else f"of unknown type {elem_type}"
