"""Answers as text: VNN-COMP's result file, and the standard's assignment of a VNN-LIB 2 query.

Numbers are written in full: a float32 has a finite decimal, which lies in the box exactly where the number does, and
reads back as the number whatever the reader rounds to.
"""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from .signature import Signature, Tensor


def result(verdict: str, x: np.ndarray | None = None, y: np.ndarray | None = None) -> str:
    """sat, unsat, unknown, timeout or error; after sat inputs [n] and outputs [K], in VNN-COMP's format."""
    if x is None or y is None:
        return f"{verdict}\n"
    named = [f"({name}_{i} {decimal(v)})" for name, values in (("X", x), ("Y", y)) for i, v in enumerate(values)]
    return f"{verdict}\n({chr(10).join(named)})\n"


def assignment(declared: Signature, x: np.ndarray, y: np.ndarray) -> str:
    """`NAME TYPE [shape]` and one value per line, row-major, in the order of declaration."""
    lines = [*_tensor(declared.input, x), *_tensor(declared.output, y)]
    return "\n".join(lines) + "\n"


def decimal(value: float) -> str:
    """All digits, without an exponent."""
    return format(Decimal(float(value)), "f")


def _tensor(tensor: Tensor, values: np.ndarray) -> Iterator[str]:
    yield f"{tensor.name} {tensor.type} [{','.join(map(str, tensor.shape))}]"
    yield from map(decimal, values)
