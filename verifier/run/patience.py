"""When input splitting gives way to the splits of neurons."""

from math import inf

from ..engine.engine import Engine
from .question import Case

# Input splitting gives way after this part of the time where it leaves this part of the space open and still opens more
# boxes than it closes.
_TRIAL, _HOPELESS = 0.5, 0.5
_FEW_NEURONS, _BOXES, _LEAST_BOXES = 24, 16, 2**16  # boxes for each pattern of so few ReLUs before it gives way too
# At a border boxes are without end around the kinks that lie on it: then after so few, or once all bounds are as near.
_BORDER_BOXES, _NEAR_BOXES, _NEAR = 2**12, 2**10, 1e-4
_FIRST_BOXES = 2**8  # before a whole box is looked at exactly


class Patience:
    """With cases that begin to be split; `strict` those of which some comparison excludes equality."""

    def __init__(self, engine: Engine, cases: list[Case], strict: set[Case]) -> None:
        self._neurons = engine.neurons
        # Neuron splitting needs no more subdomains than there are patterns; boxes, which cost less, are without end
        # where the least value is taken along an edge between linear pieces.
        self._small = self._neurons < _FEW_NEURONS and engine.piecewise_linear
        self._start, self._strict = {case: case.seconds for case in cases}, strict
        self._first: dict[Case, float] = {}  # bounds

    def is_over(self, case: Case, left: float, growth: float) -> bool:
        """left, growth: as in `Standing`."""
        tried = case.seconds - self._start[case] > _TRIAL * case.timeout
        return (tried and left > _HOPELESS and growth >= 1) or case.visited > self._enough(case)

    def wants_exact(self, case: Case) -> bool:
        """Whether its whole boxes are to be looked at exactly."""
        return (self._small or case in self._strict) and case.visited > _FIRST_BOXES

    def _enough(self, case: Case) -> float:
        """Boxes."""
        near = case.bound > -_NEAR * abs(self._first.setdefault(case, case.bound))
        if case in self._strict and (near or self._small):
            return _NEAR_BOXES if near else _BORDER_BOXES
        return max(_LEAST_BOXES, _BOXES * len(case.groups) * 2**self._neurons) if self._small else inf
