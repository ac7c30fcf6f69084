"""How far constants that are made of others may be from what the file's own numbers give, as a part of themselves.

A few roundings of float64 are all there is, but where numbers that were rounded before cancel.
"""

from collections.abc import Sequence

import numpy as np

from .proto import OnnxNode

ROUNDED = 2.0**-53  # float64's, by one rounding
MOST_OFF = 2.0**-20
_FEW = 4 * ROUNDED  # an operation, or a function that is not rounded correctly
_PRODUCTS = ("DequantizeLinear", "Div", "Mul", "Reciprocal", "Sqrt")


def off_by(node: OnnxNode, operands: Sequence[np.ndarray], off: Sequence[float], result: np.ndarray) -> float:
    """For the result of a node on constants that are `off` by so much themselves."""
    if result.dtype.kind != "f":
        return 0.0
    before = max(off, default=0.0)
    with np.errstate(all="ignore"):
        if node.op in ("Add", "Sub"):
            return _of_sum(operands, off, result, -1 if node.op == "Sub" else 1)
        if node.op == "Mul" and not before and all(_single(array) for array in operands):
            return 0.0
        if node.op in _PRODUCTS:
            return sum(off) + _FEW
        if node.op in ("ReduceSum", "ReduceMean", "ReduceL2"):
            return _of_reduction(node, operands[0], before, result)
        if node.op == "ReduceProd":
            return (before + _FEW) * operands[0].size / max(1, result.size)
        if node.op == "Exp":
            return before * _largest(operands[0]) + _FEW
        if node.op == "Log":
            return before / float(np.abs(result).min(initial=np.inf)) + _FEW if before else _FEW
        if node.op == "Pow":
            power = _largest(operands[1])
            return power * (off[0] + off[1] * _largest(np.log(np.abs(operands[0])))) + _FEW if before else _FEW
        if node.op == "Range":
            return _part(_FEW * (np.abs(operands[0]) + np.abs(result - operands[0])), result)
    return before


def apart(exact: np.ndarray, rounded: np.ndarray) -> float:
    """How far numbers as a runtime rounds them are from these, as a part of these."""
    with np.errstate(all="ignore"):
        return _part(np.abs(rounded.astype(np.float64) - exact), exact.astype(np.float64))


def off_by_difference(slope: np.ndarray, off: float) -> float:
    """For 1 - slope, of a slope that is off by so much itself."""
    return _of_sum((np.float64(1), slope), (0.0, off), 1 - slope, -1)


def _of_sum(operands: Sequence[np.ndarray], off: Sequence[float], result: np.ndarray, sign: int) -> float:
    """What was rounded before as a part of the sum, and the sum's own rounding, if there is any (Knuth's two-sum)."""
    a, b = operands[0].astype(np.float64), sign * operands[1].astype(np.float64)
    above = result - a
    exact = bool(((a - (result - above)) + (b - above) == 0).all())
    return _part(off[0] * np.abs(a) + off[1] * np.abs(b), result) + (0.0 if exact else ROUNDED)


def _of_reduction(node: OnnxNode, operand: np.ndarray, off: float, result: np.ndarray) -> float:
    """Of a sum, a mean or a norm of many: all of them may be as large as the largest."""
    count = operand.size / max(1, result.size)
    if node.op == "ReduceL2":
        return off + (count + 4) * ROUNDED
    size = _largest(operand) * (count if node.op == "ReduceSum" else 1)
    return _part(np.full(result.shape, (off + (count + 4) * ROUNDED) * size), result)


def _part(error: np.ndarray, of: np.ndarray) -> float:
    return float(np.where(error > 0, error / np.abs(of), 0.0).max(initial=0.0))


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))


def _single(array: np.ndarray) -> bool:
    return bool((array.astype(np.float32) == array).all())
