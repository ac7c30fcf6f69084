"""What a bound has to know of a nonlinear function that acts entry by entry.

Written once for arrays of numpy, as verifying has them, and of torch, as training has them under vmap and autograd:
`space` gives the module of the functions that both have.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from math import inf
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import numbers

Array = Any  # of numpy or of torch
Result = TypeVar("Result")


class Box(NamedTuple):
    """Entry-wise bounds, each [B, *v]."""

    lower: Array
    upper: Array


class Lines(NamedTuple):
    """Lines that bound f: lower_slope·z + lower_start <= f(z) <= upper_slope·z + upper_start.

    Each [B, S, *v]; S = 1, or M where every specification row has slopes of its own. lower_start None stands for 0.
    """

    lower_slope: Array
    lower_start: Array | None
    upper_slope: Array
    upper_start: Array


def space(array: Array) -> Any:
    """Where the functions for arrays like this one are: `numbers` for numpy's, else the module torch."""
    if isinstance(array, np.ndarray | np.generic):
        return numbers
    import torch  # whoever has such an array has loaded it

    return torch


def quiet(method: Callable[..., Result]) -> Callable[..., Result]:
    """Numbers too large become infinite, or none, without numpy's warning, as torch has them."""

    @wraps(method)
    def called(*given: Any) -> Result:
        with np.errstate(over="ignore", invalid="ignore"):
            return method(*given)

    return called


def each(like: Array, values: Sequence[int]) -> Array:
    """One number for each of what is stacked, of arrays like this one."""
    found = np.array(values, like.dtype) if space(like) is numbers else like.new_tensor(values)
    return found.reshape(-1, *(1,) * like.ndim)


class Function:
    """Base of the functions. What a search may ask of one, each for a box of inputs z and entry by entry: `unstable`,
    `cut`, `start_slope`."""

    kinked = False  # affine on either side of 0: a box that keeps its sign makes the lines exact

    def forward(self, z: Array) -> Array:
        raise NotImplementedError

    def interval(self, box: Box) -> Box:
        raise NotImplementedError

    def lines(self, box: Box, slope: Array | None) -> Lines:
        """Lines over the box; `slope` [B, S, *v] in [0, 1] chooses among the sound lower ones."""
        raise NotImplementedError

    def slope(self, z: Array) -> Array:
        """The derivative of f, up to rounding; at a kink that of one side."""
        raise NotImplementedError

    def steepest(self, box: Box) -> Array:
        """At least the size of every slope of f and of its lines there: [B, *v]."""
        raise NotImplementedError

    def unstable(self, box: Box) -> Array:
        """Where the lines lie apart, so that a smaller box would bring them together: bool [B, *v]."""
        return (box.lower < 0) & (box.upper > 0) if self.kinked else box.lower < box.upper

    @quiet
    def cut(self, box: Box) -> Array:
        """Where to divide the box of an unstable entry [B, *v]."""
        return space(box.lower).zeros_like(box.lower) if self.kinked else (box.lower + box.upper) / 2

    def start_slope(self, box: Box) -> Array:
        """The `slope` [B, *v] that `lines` takes of its own accord."""
        return space(box.lower).full_like(box.lower, 0.5)

    def passes(self, box: Box) -> Array:
        """Where f is the identity on the box: bool [B, *v]."""
        return box.lower < -inf  # nowhere
