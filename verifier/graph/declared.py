"""What a file declares to take and to give, and how one image of it is read: which axis is the batch, if any is.

Of several tensors the network takes all entries, in the file's order, and so it gives them.
"""

from dataclasses import replace

import numpy as np
import onnx

from ..errors import InputError, UnsupportedError
from .proto import FLOATS, type_name
from .reading import Port, Reading
from .shapes import MAX_ELEMENTS, MOST_AXES, Shape

MOST_JOINED = 2**20  # entries of several inputs together

Reader = tuple[onnx.NodeProto, Shape]


def readings(graph: onnx.GraphProto, entries: int | None = None) -> list[Reading]:
    """The ways to read the file, the likeliest first; those that take so many `entries` before the others.

    There are two where every input begins with the same number: it may be a batch or an axis of the image. Raises
    `UnsupportedError` for a type or a shape that is not supported, `InputError` for an input that is declared twice.
    """
    tensors = declared_inputs(graph)
    outputs = declared_outputs(graph)
    shown = ", ".join(repr(value.name) for value in tensors) or "none"
    if not tensors:
        raise UnsupportedError(f"the network has 0 inputs ({shown}); supported: one or more. Export it with its input.")
    names = [value.name for value in tensors]
    if len(set(names)) < len(names):
        raise InputError(f"the file declares an input twice, of {shown}. Export it again.")
    types = {_dtype(value) for value in tensors}
    if len(types) > 1:
        raise UnsupportedError(
            f"the inputs {shown} differ in type; supported: all float32 or all float64. Export them in one type."
        )
    readers, passing = _readers(graph), _passing(graph)
    ports, free = zip(*(_port(value, readers.get(value.name, []), passing) for value in tensors), strict=True)
    plain = Reading(ports, outputs, types.pop(), 0 if all(free) else None)
    _check_size(plain)
    first = {port.dims[0] if len(port.dims) > 1 else 1 for port in ports}
    if any(free) or len(first) > 1 or 1 in first:
        return [plain]
    one = tuple(Port(port.name, (1, *port.dims[1:])) for port in ports)
    several = replace(plain, inputs=one, batch=first.pop())
    column = all(port.size == 1 for port in one)  # [n,1] rather holds n numbers than n images of one
    found = [plain, several] if column else [several, plain]
    return sorted(found, key=lambda reading: reading.entries != entries)


def declared_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Those that are no initialiser."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def declared_outputs(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Their names."""
    if not graph.output:
        raise UnsupportedError("the network has 0 outputs; supported: one or more. Export it with the logits.")
    return tuple(value.name for value in graph.output)


def _dtype(value: onnx.ValueInfoProto) -> np.dtype:
    kind = value.type.tensor_type.elem_type
    if kind not in FLOATS:
        raise UnsupportedError(
            f"the input {value.name!r} is {type_name(kind)}; supported: float32 and float64. Export the network in "
            "float32, and inputs that are no such numbers as constants."
        )
    return FLOATS[kind]


def _port(value: onnx.ValueInfoProto, readers: list[Reader], passing: set[str]) -> tuple[Port, bool]:
    """The input as one image has it, and whether its first axis is a batch of any size."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        told = _vector(value.name, readers)
        if told is None:
            raise UnsupportedError(
                f"the input {value.name!r} declares no shape. Export it with one, such as [batch,1,28,28]."
            )
        return Port(value.name, told), False
    if len(tensor.shape.dim) > MOST_AXES:
        raise UnsupportedError(
            f"the input {value.name!r} has {len(tensor.shape.dim)} axes; supported: at most {MOST_AXES}. Check the "
            "export."
        )
    if any(dim.WhichOneof("value") == "dim_value" and dim.dim_value == 0 for dim in tensor.shape.dim):
        raise UnsupportedError(
            f"the input {value.name!r} declares the shape {_shown(tensor)}, which holds nothing. Export it with a "
            "named batch axis, or a batch of one."
        )
    dims = [dim.dim_value if dim.WhichOneof("value") == "dim_value" else 0 for dim in tensor.shape.dim]
    for axis, extent in _told(value.name, len(dims), readers).items():
        dims[axis] = max(dims[axis], 0) or extent
    open_axes = [axis for axis, extent in enumerate(dims) if extent < 1]
    free = open_axes[:1] == [0] and len(dims) > 1
    if free or (len(open_axes) == 1 and len(dims) > 1 and tensor.shape.dim[open_axes[0]].dim_param in passing):
        dims[open_axes.pop(0)] = 1
    if open_axes:
        names = ", ".join(_extent(tensor.shape.dim[axis]) for axis in open_axes)
        raise UnsupportedError(
            f"the input {value.name!r} declares the shape {_shown(tensor)}, and nothing says how long "
            f"{names} {'is' if len(open_axes) == 1 else 'are'}; supported: numbers on all axes but the batch. Export "
            "it with a fixed size, such as [batch,1,28,28]."
        )
    return Port(value.name, tuple(dims)), free


def _check_size(reading: Reading) -> None:
    most = MAX_ELEMENTS if len(reading.inputs) == 1 else MOST_JOINED
    if reading.entries > most:
        shapes = ", ".join(f"{port.name!r} {list(port.dims)}" for port in reading.inputs)
        raise UnsupportedError(
            f"the network takes {reading.entries} numbers for an image ({shapes}); supported: at most {most}. Check "
            "the export."
        )


def _passing(graph: onnx.GraphProto) -> set[str]:
    """The names of axes that are in every output, as that of a batch is."""
    given = [{dim.dim_param for dim in value.type.tensor_type.shape.dim} for value in graph.output]
    return set.intersection(*given) - {""} if given else set()


def _readers(graph: onnx.GraphProto) -> dict[str, list[Reader]]:
    """Of every value the nodes that read it beside a weight, in order, with the weight's shape."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found: dict[str, list[Reader]] = {}
    for node in graph.node:
        shape = next((weights[other] for other in node.input[:2] if other in weights), ())
        if shape and len(node.input) > 1:
            for name in set(node.input[:2]):
                found.setdefault(name, []).append((node, shape))
    return found


def _vector(name: str, readers: list[Reader]) -> Shape | None:
    """[1, n] where the first product that reads the value has a matrix of n rows."""
    told = _told(name, 2, readers)
    return (1, told[1]) if set(told) == {1} else None


def _told(name: str, rank: int, readers: list[Reader]) -> dict[int, int]:
    """Lengths of axes that the weights of the operators demand which read an input of so many axes."""
    found: dict[int, int] = {}
    for node, shape in readers:
        first, last = node.input[0] == name, rank - 1
        whole = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "MatMul" and rank:
            axis, extent = (last, shape[-2:][0]) if first else (max(0, rank - 2), shape[-1])
        elif node.op_type == "Gemm" and rank == len(shape) == 2 and first:
            axis, extent = (0 if whole.get("transA") else 1), shape[1 if whole.get("transB") else 0]
        elif node.op_type == "Conv" and rank == len(shape) > 2 and first:
            axis, extent = 1, shape[1] * whole.get("group", 1)
        else:
            continue
        found.setdefault(axis, extent)
    return found


def _extent(dim: onnx.TensorShapeProto.Dimension) -> str:
    return dim.dim_param or (str(dim.dim_value) if dim.WhichOneof("value") else "?")


def _shown(tensor: onnx.TypeProto.Tensor) -> str:
    return "[" + ", ".join(map(_extent, tensor.shape.dim)) + "]"
