"""One function per traced operator (torch's ATen names): how it is written with the canonical ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from .tracing import Reader

Translation = Callable[[Reader, fx.Node], None]


def _conv(reader: Reader, node: fx.Node) -> None:
    given: dict[str, Any] = dict(zip(("bias", "stride", "padding", "dilation", "groups"), node.args[2:], strict=False))
    kernel = reader.held_by(node, node.args[1])
    params = [reader.param(node, kernel)]
    if given.get("bias") is not None:
        params.append(reader.param(node, reader.held_by(node, given["bias"])))
    dilations = _pair(given.get("dilation", 1))
    attrs = {
        "strides": _pair(given.get("stride", 1)),
        "pads": _pads(given.get("padding", 0), tuple(kernel.tensor.shape[2:]), dilations),
        "dilations": dilations,
        "group": given.get("groups", 1),
    }
    reader.emit(node, "Conv", [reader.value(node, node.args[0])], params, attrs)


def _pair(numbers: int | Sequence[int]) -> tuple[int, ...]:
    pair = tuple(numbers) if isinstance(numbers, list | tuple) else (numbers,)
    return pair * 2 if len(pair) == 1 else pair


def _pads(padding: Any, kernel: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    """Before and after each axis; "same" puts the odd one after, as torch does."""
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return (*(t // 2 for t in total), *(t - t // 2 for t in total))
    return (0,) * 4 if padding == "valid" else _pair(padding) * 2


def _linear(reader: Reader, node: fx.Node) -> None:
    weights = [operand for operand in node.args[1:3] if operand is not None]
    params = [reader.param(node, reader.held_by(node, operand)) for operand in weights]
    reader.emit(node, "Gemm", [reader.value(node, node.args[0])], params)


def _relu(reader: Reader, node: fx.Node) -> None:
    reader.emit(node, "Relu", [reader.value(node, node.args[0])])


def _reshape(reader: Reader, node: fx.Node) -> None:
    shape = reader.shape(node)
    value = reader.value(node, node.args[0])
    if len(shape) == 1:
        reader.emit(node, "Flatten", [value])
    else:
        reader.emit(node, "Reshape", [value], attrs={"shape": shape})


def _same(reader: Reader, node: fx.Node) -> None:
    """Computes nothing: dropout outside of training, a copy."""
    (first, *_) = node.args
    if isinstance(first, fx.Node) and first.name in reader.held:
        reader.held[node.name] = reader.held[first.name]
    else:
        reader.values[node.name] = reader.value(node, first)


def _dropout(reader: Reader, node: fx.Node) -> None:
    if node.args[2]:
        reader.refuse(node, "drops values outside of training mode too; use nn.Dropout, or pass training=self.training")
    _same(reader, node)


def _arithmetic(op: str) -> Translation:
    def translate(reader: Reader, node: fx.Node) -> None:
        left, right = node.args[:2]
        if node.kwargs.get("alpha", 1) != 1:
            reader.refuse(node, f"scales its second operand by alpha = {node.kwargs['alpha']}; multiply it first")
        if _computed(reader, left) and _computed(reader, right):
            reader.emit(node, op, [reader.value(node, left), reader.value(node, right)])
            return
        if op in ("Add", "Mul") and not _computed(reader, left):
            left, right = right, left
        if not _computed(reader, left) and op == "Sub":
            _subtracted(reader, node, left, right)
            return
        reader.emit(node, op, [reader.value(node, left)], [_constant(reader, node, right)])

    return translate


def _rsub(reader: Reader, node: fx.Node) -> None:
    """c - x, as its operands stand in reverse."""
    _subtracted(reader, node, node.args[1], node.args[0])


def _subtracted(reader: Reader, node: fx.Node, constant: object, value: object) -> None:
    negative = reader.constant(f"{node.name}.minus", torch.tensor(-1.0))
    minus = reader.emit(node, "Mul", [reader.value(node, value)], [negative], last=False)
    reader.emit(node, "Add", [minus], [_constant(reader, node, constant)])


def _neg(reader: Reader, node: fx.Node) -> None:
    negative = reader.constant(f"{node.name}.minus", torch.tensor(-1.0))
    reader.emit(node, "Mul", [reader.value(node, node.args[0])], [negative])


def _computed(reader: Reader, operand: object) -> bool:
    return isinstance(operand, fx.Node) and operand.name in reader.values


def _constant(reader: Reader, node: fx.Node, operand: object) -> str:
    if isinstance(operand, int | float):
        return reader.constant(f"{node.name}.constant", torch.tensor(float(operand)))
    held, rank = reader.held_by(node, operand), len(reader.shape(node))
    shape = tuple(held.tensor.shape)
    if len(shape) == rank + 1 and shape[0] == 1:  # stands for every image of the batch
        return reader.param(node, held, shape[1:])
    return reader.param(node, held)


def _batch_norm(reader: Reader, node: fx.Node) -> None:
    """(x - mean) / sqrt(variance + epsilon) * weight + bias; the statistics stay what they are."""
    value, weight, bias, mean, variance, training, _, epsilon, *_ = node.args
    if training or mean is None or variance is None:
        reader.refuse(node, "normalises by the batch; supported: running statistics (track_running_stats)")
    shape = (-1,) + (1,) * (len(reader.shape(node)) - 1)

    def column(tensor: Tensor, what: str) -> str:
        return reader.constant(f"{node.name}.{what}", tensor.float().reshape(shape))

    spread = torch.sqrt(reader.held_by(node, variance).tensor.double() + epsilon)  # type: ignore[operator]
    steps = [
        ("Sub", column(reader.held_by(node, mean).tensor, "mean")),
        ("Div", column(spread, "std")),
    ]
    for op, operand in (("Mul", weight), ("Add", bias)):
        if operand is not None:
            held = reader.held_by(node, operand)
            steps.append((op, reader.param(node, held, (len(held.tensor), *shape[1:]))))
    name = reader.value(node, value)
    for place, (op, param) in enumerate(steps):
        name = reader.emit(node, op, [name], [param], last=place == len(steps) - 1)


SUPPORTED = (
    "Conv2d, Linear, ReLU, BatchNorm in evaluation mode, Dropout, Identity, Flatten, Unflatten, reshape, view, "
    "squeeze, unsqueeze, sums and differences of computed values, and +, -, *, / with parameters, buffers and numbers"
)

TRANSLATIONS: dict[str, Translation] = {
    "aten.add.Tensor": _arithmetic("Add"),
    "aten.add_.Tensor": _arithmetic("Add"),
    "aten.alias.default": _same,
    "aten.batch_norm.default": _batch_norm,
    "aten.clone.default": _same,
    "aten.contiguous.default": _same,
    "aten.conv2d.default": _conv,
    "aten.conv2d.padding": _conv,
    "aten.div.Tensor": _arithmetic("Div"),
    "aten.div_.Tensor": _arithmetic("Div"),
    "aten.dropout.default": _dropout,
    "aten.dropout_.default": _dropout,
    "aten.flatten.using_ints": _reshape,
    "aten.lift_fresh_copy.default": _same,
    "aten.linear.default": _linear,
    "aten.mul.Tensor": _arithmetic("Mul"),
    "aten.mul_.Tensor": _arithmetic("Mul"),
    "aten.neg.default": _neg,
    "aten.relu.default": _relu,
    "aten.relu_.default": _relu,
    "aten.reshape.default": _reshape,
    "aten.rsub.Scalar": _rsub,
    "aten.squeeze.dim": _reshape,
    "aten.sub.Tensor": _arithmetic("Sub"),
    "aten.sub_.Tensor": _arithmetic("Sub"),
    "aten.unflatten.int": _reshape,
    "aten.unsqueeze.default": _reshape,
    "aten.view.default": _reshape,
}

# The batch size, asked for by a reshape.
IGNORED = ("aten.sym_size.int",)

# How the names of operators end that write into their first operand.
IN_PLACE = ("_.default", "_.Tensor")
