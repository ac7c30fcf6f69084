"""Affine forms of all tensors, from the input on: of networks that are chains of few inputs, for many boxes.

    v in centre + slopes . t +- rest,  t = (x - middle) / radius of the input's box, in [-1, 1]

An undecided Relu is replaced by the line of its chord, and half its distance to it goes to the rest (Singh et al., Fast
and Effective Robustness Certification, 2018, with one symbol for all new errors). Cheap, and nearly as tight as rows
that are substituted back, where few Relus are undecided.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .boxes import Boxes, bend_off
from .builder import Step
from .chains import chain_of, passes
from .curves import Bent, Greatest, Lines, Unary
from .network import INPUT, Network
from .rounding import TINY, UNIT, own_gamma
from .steps import Array

MOST_INPUTS = 16


@dataclass(frozen=True, eq=False)
class Forms:
    """Of one tensor in B regions: terms [B, 1 + n, k], the centre first, rest [B, k]."""

    terms: Array
    rest: Array

    @cached_property
    def reach(self) -> Array:
        """How far a value may be from the centre [B, k]."""
        total = np.abs(self.terms[:, 1:]).sum(1) + self.rest
        return total * (1 + own_gamma(self.terms.shape[1])) + TINY


def suits(network: Network) -> bool:
    """A chain of few inputs, nonlinear by Relu and LeakyRelu alone."""
    bends = (network.steps[place] for place in network.bends)
    few = network.sizes[INPUT] <= MOST_INPUTS and chain_of(network) is not None
    return few and all(isinstance(step, Unary) and isinstance(step.curve, Bent) for step in bends)


def first_forms(boxes: Boxes) -> Forms:
    lower, upper = boxes.lower[INPUT], boxes.upper[INPUT]
    middle, size = lower / 2 + upper / 2, lower.shape[1]
    terms = np.zeros((len(lower), 1 + size, size))
    terms[:, 0] = middle
    reach = np.maximum(upper - middle, middle - lower) * (1 + 4 * UNIT) + TINY
    terms[:, 1 + np.arange(size), np.arange(size)] = reach
    return Forms(terms, np.zeros_like(lower))


def passed(forms: Forms, boxes: Boxes, step: Step, lines: Lines | None) -> Forms:
    """Of a step's output, when its box is known; lines: of a nonlinear one, over the box of what it reads."""
    if isinstance(step, Greatest):
        raise TypeError(f"{step} has no forms.")
    if isinstance(step, Unary):
        if lines is None:
            raise TypeError(f"{step} without lines.")
        return _bent(forms, boxes, step, lines)
    charge, terms, entries = boxes.charge.get(step.output, 0.0), forms.terms, forms.terms.shape[2]
    if passes(step):
        after, rest, share = terms.copy(), forms.rest, 4 * UNIT
    else:
        share = own_gamma(step.products + entries + boxes.network.sizes[step.output])
        after = step.forward([terms.reshape(-1, entries)]).reshape(*terms.shape[:2], -1)
        size = np.abs(terms[:, 0]) + forms.reach
        rest = step.size([forms.rest + 2 * share * (size + forms.rest)])
    if step.bias is not None:
        after[:, 0] += step.bias
        rest = rest + share * np.abs(step.bias)
    return Forms(after, (rest + charge + 8 * UNIT * np.abs(after[:, 0])) * (1 + 2 * share) + TINY)


def _bent(forms: Forms, boxes: Boxes, step: Unary, lines: Lines) -> Forms:
    half, size = lines.high / 2, np.abs(forms.terms[:, 0]) + forms.reach
    after = forms.terms * lines.high_slope[:, None]
    after[:, 0] += half
    off = bend_off(boxes, step, boxes.size(step.output)) + 16 * UNIT * (size + lines.high)
    return Forms(after, (forms.rest * lines.high_slope + half + off) * (1 + 8 * UNIT) + TINY)


def tighten(forms: Forms, boxes: Boxes, tensor: int) -> None:
    """A tensor's box, by its form too."""
    centre, reach = forms.terms[:, 0], forms.reach
    low, high = centre - reach, centre + reach
    wide = 4 * UNIT * (np.abs(centre) + reach) + TINY
    lower, upper = np.fmax(boxes.lower[tensor], low - wide), np.fmin(boxes.upper[tensor], high + wide)
    boxes.put(tensor, np.minimum(lower, upper), np.maximum(lower, upper))
