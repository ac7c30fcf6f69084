"""Every way in which a region may be closed, each by itself: with the attack off and the C programs on or off."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, isfinite

import pytest

from glscert.verifier.engine import compiled
from glscert.verifier.run import question
from glscert.verifier.run.line import STAGES
from glscert.verifier.search import branch_and_bound
from glscert.verifier.search.falsify import Falsifier
from glscert.verifier.search.refinement import Refiner

STEPS = 3


@dataclass(frozen=True)
class Way:
    """neurons: these are split, whatever the number of inputs, after short ascents: there is little time. programs:
    those in C. refined: boxes of the neurons are made tighter before anything else. seconds: of one question."""

    neurons: bool = False
    programs: bool = True
    refined: bool = False
    seconds: float = 0.1


WAYS = {
    "inputs": Way(),
    "inputs, without C": Way(programs=False),
    "neurons": Way(neurons=True, seconds=0.2),
    "neurons, without C": Way(neurons=True, programs=False, seconds=0.2),
    "neurons, refined": Way(neurons=True, refined=True, seconds=0.4),
    "neurons, refined without C": Way(neurons=True, refined=True, programs=False, seconds=0.4),
}


@contextmanager
def only(way: Way) -> Iterator[None]:
    """Networks loaded inside are searched this way and never attacked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STAGES, "look", lambda run: iter(()))  # its place in the order is kept
        patch.setattr(Falsifier, "descend", lambda self, targets, **options: {})
        patch.setattr(Falsifier, "replay", lambda self, group, x: None)
        if way.neurons:
            patch.setattr(question, "FEW_INPUTS", -1)
            ascent = branch_and_bound.dual_bounds
            patch.setattr(
                branch_and_bound, "dual_bounds", lambda *of, steps=0, **how: ascent(*of, steps=min(steps, STEPS), **how)
            )
        if not way.programs:
            patch.setattr(compiled, "program", lambda header, itemsize: None)
        if way.refined:
            price = Refiner.price
            patch.setattr(Refiner, "price", lambda self, *of: 1e-9 if isfinite(price(self, *of)) else inf)
        yield
