"""SHA-256 of a model's canonical form: all that changes what it computes, nothing else.

Opset imports, inputs and outputs, nodes in order with their attributes by name, initialisers by name. Not: doc strings,
producer, metadata, names of nodes. Every part is preceded by its length, so that no two models share a form.
"""

import hashlib
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .refusal import NotCovered

_MOST_BYTES = 2**31  # of a tensor
_ROWS = 1024  # of data, at a time


class _Form:
    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"glscert model 1")

    def put(self, *parts: object) -> None:
        """Each as its bytes: of text, of whole numbers, or as they are."""
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            self._hash.update(len(data).to_bytes(8, "little"))
            self._hash.update(data)

    def hex(self) -> str:
        return self._hash.hexdigest()


def model_digest(model: onnx.ModelProto) -> str:
    """64 hex digits. Raises NotCovered: subgraphs, functions of the file's own, sparse tensors, data that lie outside
    the file and were not loaded."""
    if model.functions or model.graph.sparse_initializer:
        raise NotCovered("functions of the file's own and sparse tensors have no digest here; export it without.")
    form = _Form()
    opsets = sorted((opset.domain, opset.version) for opset in model.opset_import)
    form.put("opsets", len(opsets), *(part for opset in opsets for part in opset))
    for what, infos in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        form.put(what, len(infos))
        for info in infos:
            _put_info(form, info)
    form.put("nodes", len(model.graph.node))
    for node in model.graph.node:
        form.put(node.op_type, node.domain, len(node.input), *node.input, len(node.output), *node.output)
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        form.put(len(attributes))
        for attribute in attributes:
            _put_attribute(form, node.op_type, attribute)
    initialisers = sorted(model.graph.initializer, key=lambda tensor: tensor.name)
    form.put("initialisers", len(initialisers))
    for tensor in initialisers:
        form.put(tensor.name)
        _put_tensor(form, tensor)
    return form.hex()


def _put_info(form: _Form, info: onnx.ValueInfoProto) -> None:
    kind = info.type.tensor_type
    shaped = kind.HasField("shape")
    form.put(info.name, info.type.WhichOneof("value") or "", kind.elem_type, int(shaped), len(kind.shape.dim))
    for dim in kind.shape.dim:
        which = dim.WhichOneof("value") or ""
        form.put(which, getattr(dim, which) if which else "")


def _put_attribute(form: _Form, op: str, attribute: onnx.AttributeProto) -> None:
    form.put(attribute.name, attribute.type)
    value: Any = onnx.helper.get_attribute_value(attribute) if attribute.type else None
    if isinstance(value, onnx.TensorProto):
        _put_tensor(form, value)
    elif isinstance(value, bytes | int | type(None)):
        form.put("" if value is None else value)
    elif isinstance(value, float):
        form.put(value.hex())
    elif attribute.type in (onnx.AttributeProto.FLOATS, onnx.AttributeProto.INTS, onnx.AttributeProto.STRINGS):
        form.put(len(value), *(part.hex() if isinstance(part, float) else part for part in value))
    else:
        raise NotCovered(f"{op} has an attribute {attribute.name!r} that holds a graph; it has no digest here.")


def _put_tensor(form: _Form, tensor: onnx.TensorProto) -> None:
    array = read_tensor(tensor)
    form.put(tensor.data_type, array.ndim, *array.shape, _bytes(array))


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype == object:  # texts
        return b"".join(
            len(part).to_bytes(8, "little") + part
            for part in (text if isinstance(text, bytes) else str(text).encode() for text in array.ravel())
        )
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def read_tensor(tensor: onnx.TensorProto) -> np.ndarray:
    """Its numbers. Raises NotCovered: stored outside the file, damaged, larger than the file can hold."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise NotCovered(f"the tensor {tensor.name!r} lies outside the file and is not loaded.")
    size = 1
    for dim in tensor.dims:
        size *= max(int(dim), 0)
    if any(dim < 0 for dim in tensor.dims) or size > _MOST_BYTES // 8:
        raise NotCovered(f"the tensor {tensor.name!r} has the dimensions {list(tensor.dims)[:8]}.")
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # whatever onnx makes of damaged bytes
        raise NotCovered(f"the tensor {tensor.name!r} cannot be read: {str(error)[:200]}.") from None


def data_digest(x: np.ndarray, labels: np.ndarray) -> str:
    """Of all inputs [N, ...] of a data set, row-major whatever their axes, and their labels [N]: 64 hex digits."""
    form = _Form()
    form.put("data", len(x), x[:1].size)
    for first in range(0, len(x), _ROWS):
        form.put(np.ascontiguousarray(x[first : first + _ROWS]).astype("<f8").tobytes())
    whole = np.issubdtype(labels.dtype, np.integer)
    form.put("whole" if whole else "real", labels.astype("<i8" if whole else "<f8").tobytes())
    return form.hex()
