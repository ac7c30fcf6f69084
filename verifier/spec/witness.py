"""Witnesses as text, as the competitions and VNN-LIB's standard have them.

Numbers are written in full: a float32 has a finite decimal, which lies in the box exactly where the number does, and
reads back as the number whatever the reader rounds to.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np

from .signature import Signature, Tensor, starts


def assignment(declared: Signature | None, x: np.ndarray, y: np.ndarray) -> str:
    """Inputs x [n] and outputs y [K], in the way of the file's version.

    Version 1: `((X_0 value)`, ..., `(Y_0 value))`, a line each. Version 2: `NAME TYPE [shape]` and one value per line,
    row-major, in the order of declaration.
    """
    if declared is None:
        named = [f"({name}_{i} {decimal(v)})" for name, values in (("X", x), ("Y", y)) for i, v in enumerate(values)]
        return f"({chr(10).join(named)})\n"
    parts = [*by_tensor(declared.inputs, x), *by_tensor(declared.outputs, y)]
    return "".join(f"{line}\n" for tensor, values in parts for line in _tensor(tensor, values))


def by_tensor(tensors: Sequence[Tensor], values: np.ndarray) -> list[tuple[Tensor, np.ndarray]]:
    """Each tensor with its part [its size] of all entries."""
    firsts = starts(tensors)
    return [(tensor, values[first:last]) for tensor, first, last in zip(tensors, firsts, firsts[1:], strict=False)]


def decimal(value: float) -> str:
    """All digits, without an exponent."""
    return format(Decimal(float(value)), "f")


def _tensor(tensor: Tensor, values: np.ndarray) -> Iterator[str]:
    yield f"{tensor.name} {tensor.type} [{','.join(map(str, tensor.shape))}]"
    yield from map(decimal, values)
