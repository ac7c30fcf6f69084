"""Linear programs, solved by HiGHS."""

from typing import Any

import numpy as np


def least(
    blocks: list[tuple[np.ndarray, float]], low: np.ndarray, high: np.ndarray, least: float, seconds: float
) -> Any:
    """min r >= least where every row · (v, 1) + factor · r <= 0, low <= v <= high; as scipy returns it."""
    from scipy.optimize import linprog  # half a second, which few runs need

    matrix = np.concatenate([np.hstack([rows[:, :-1], np.full((len(rows), 1), factor)]) for rows, factor in blocks])
    limit = -np.concatenate([rows[:, -1] for rows, _ in blocks])
    bounds = np.stack([np.append(low, least), np.append(high, np.inf)], 1)
    cost = np.append(np.zeros(len(low)), 1.0)
    return linprog(cost, matrix, limit, bounds=bounds, method="highs", options={"time_limit": seconds})
