"""Linear programs, solved by HiGHS."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def least(blocks: Sequence[tuple[Array, float]], low: Array, high: Array, least: float, seconds: float) -> Any:
    """min r >= least where every row · (v, 1) + factor · r <= 0, low <= v <= high; as scipy returns it."""
    from scipy.optimize import linprog  # half a second, which few runs need

    count, columns = sum(len(rows) for rows, _ in blocks), len(low)
    matrix, limit, first = np.empty((count, columns + 1)), np.empty(count), 0
    for rows, factor in blocks:
        part = slice(first, first + len(rows))
        matrix[part, :-1], matrix[part, -1], limit[part] = rows[:, :-1], factor, -rows[:, -1]
        first += len(rows)
    bounds = np.stack([np.append(low, least), np.append(high, np.inf)], 1)
    cost = np.append(np.zeros(columns), 1.0)
    return linprog(cost, matrix, limit, bounds=bounds, method="highs", options={"time_limit": seconds})
