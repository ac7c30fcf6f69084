"""Where inputs may lie: the configuration's radii and valid range, as arrays for training and as text for the file."""

import math

import numpy as np

from glscert.verifier.region import Entries, Region, region

from .config import TrainConfig


def stated_region(config: TrainConfig, shape: tuple[int, ...]) -> Region:
    """Radii and range for inputs [*shape]. Raises InputError where their numbers do not fit the input."""
    low = [-math.inf if end is None else end for end in config.low]
    high = [math.inf if end is None else end for end in config.high]
    columns = config.eps if config.eps_columns is None else np.array(config.eps_columns)
    return region({"eps": columns, "low": _entries(low), "high": _entries(high)}, shape, "the configuration")


def as_text(stated: Region) -> dict[str, str]:
    """`eps` and `input_range` as an exported file states them: one number and one pair, or one for each entry."""
    eps, low, high = stated.complete()
    ends = zip(*np.broadcast_arrays(np.ravel(low), np.ravel(high)), strict=True)
    return {
        "eps": " ".join(map(repr, np.ravel(eps).tolist())),
        "input_range": " ".join(f"{float(least)!r} {float(most)!r}" for least, most in ends),
    }


def _entries(numbers: list[float]) -> Entries:
    return numbers[0] if len(numbers) == 1 else np.array(numbers)
