"""The neuron whose relaxation gives most of the bound away (BaBSR, Bunel et al. 2020, JMLR 21)."""

from ...engine.plan import Array
from .base import Undivided, highest


def babsr(open_: Undivided) -> Array:
    return highest(open_.impact, 1)[:, 0]
