"""Formula -> the query's clauses, counted before they are made."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain, product
from pathlib import Path

import numpy as np

from ..errors import InputError, UnsupportedError
from .formula import And, Bound, Formula, Or
from .interval import Interval
from .query import Clause, Query, Row
from .relations import narrowed

MAX_CLAUSES = 100_000
MAX_ATOMS = 5_000_000  # in all clauses together
MAX_BOX_BYTES = 2**29  # of all boxes together

Conjunction = tuple["Bound | Row", ...]
# Lower and upper end of an input, each a value and whether it is excluded; None: unbounded.
Ends = tuple["tuple[Fraction, bool] | None", "tuple[Fraction, bool] | None"]


def to_query(assertions: Iterable[Formula], inputs: int, outputs: int, path: Path) -> Query:
    """All `assertions` together. Raises where their cases are too many, have no inputs, or leave one unbounded."""
    shared: dict[int, Ends] = {}
    rest: list[Formula] = []
    for part in assertions:  # one by one: bounds that hold everywhere are never listed
        for atom in _conjuncts(part):
            if isinstance(atom, Bound):
                shared[atom.input] = _narrowed(shared.get(atom.input, (None, None)), atom)
            else:
                rest.append(atom)
    count, atoms = _size(And(tuple(rest)))
    if count > MAX_CLAUSES or atoms > MAX_ATOMS:
        raise UnsupportedError(
            f"{path}: its and/or combinations make {_many(count)} cases with {_many(atoms)} comparisons; supported: "
            f"{MAX_CLAUSES} and {MAX_ATOMS}. Split it into several files."
        )
    boxes = _Boxes(shared, inputs, path)
    clauses = []
    for conjunction in _conjunctions(And(tuple(rest))):
        bounds = tuple(atom for atom in conjunction if isinstance(atom, Bound))
        rows = tuple(atom for atom in conjunction if isinstance(atom, Row))
        box = boxes.box(bounds, tuple(row for row in rows if row.is_relation))
        if box is not None:
            clauses.append(Clause(box[0], box[1], (box[2], box[3]), rows, boxes.exact(bounds)))
    if boxes.empty and not clauses:
        raise InputError(f"{path}: no input satisfies it: {boxes.empty}. Check the bounds of the inputs.")
    return Query(inputs, outputs, tuple(clauses))


class _Boxes:
    """Boxes of float64 ends, one for each set of bounds beyond the shared ones and of relations that cut it."""

    def __init__(self, shared: dict[int, Ends], inputs: int, path: Path) -> None:
        self.shared, self.path = shared, path
        self.base = np.empty((4, inputs))
        self.open = {i for i in range(inputs) if i not in shared or None in shared[i]}
        self.empty = ""  # why the last box without a point has none
        self.known: dict[tuple[tuple[Bound, ...], tuple[Row, ...]], np.ndarray | None] = {}
        self.between: dict[int, Interval] = {}  # of the shared ends those that are no float64 numbers
        self.intervals: dict[tuple[Bound, ...], Mapping[int, Interval]] = {}
        self.always_empty = False
        for i, ends in shared.items():
            self.always_empty = self.always_empty or self._is_empty(i, ends)
            if i not in self.open:
                self.base[:, i] = _rounded(ends)
                interval = _interval(ends)
                if self.base[0, i] != interval.lower or self.base[1, i] != interval.upper:
                    self.between[i] = interval

    def box(self, bounds: tuple[Bound, ...], relations: tuple[Row, ...]) -> np.ndarray | None:
        """[4, inputs]: lower and upper rounded outwards, then inwards; None where no input lies inside."""
        if (bounds, relations) not in self.known:
            if len(self.known) * self.base.nbytes > MAX_BOX_BYTES:
                raise UnsupportedError(
                    f"{self.path}: its {len(self.known)} and more different boxes of {self.base.shape[1]} inputs need "
                    f"more than {MAX_BOX_BYTES} bytes. Split it into several files."
                )
            box = self._box(bounds)
            self.known[bounds, relations] = narrowed(box, relations) if box is not None and relations else box
        return self.known[bounds, relations]

    def exact(self, bounds: tuple[Bound, ...]) -> Mapping[int, Interval]:
        """The intervals of all inputs of the box whose ends are no float64 numbers."""
        if bounds not in self.intervals:
            own = {i: _interval(ends) for i, ends in self._own(bounds).items()}
            self.intervals[bounds] = ChainMap(own, self.between) if own else self.between
        return self.intervals[bounds]

    def _own(self, bounds: tuple[Bound, ...]) -> dict[int, Ends]:
        """The ends of inputs that the bounds name, the shared ones included."""
        own: dict[int, Ends] = {}
        for bound in bounds:
            earlier = own.get(bound.input) or self.shared.get(bound.input, (None, None))
            own[bound.input] = _narrowed(earlier, bound)
        return own

    def _box(self, bounds: tuple[Bound, ...]) -> np.ndarray | None:
        own = self._own(bounds)
        if self.always_empty or any(self._is_empty(i, ends) for i, ends in own.items()):
            return None
        missing = [i for i in self.open if None in own.get(i, (None, None))]
        if missing:
            i = min(missing)
            lower, _ = own.get(i) or self.shared.get(i, (None, None))
            raise InputError(
                f"{self.path}: input {i} has no {'lower' if lower is None else 'upper'} bound"
                f"{' in one of the cases' if bounds else ''}; a verifier needs a box. Give every input both."
            )
        if not own:
            return self.base
        box = self.base.copy()
        for i, ends in own.items():
            box[:, i] = _rounded(ends)
        return box

    def _is_empty(self, i: int, ends: Ends) -> bool:
        lower, upper = ends
        if lower is None or upper is None or lower[0] < upper[0]:
            return False
        if lower[0] == upper[0] and not lower[1] and not upper[1]:
            return False
        self.empty = f"input {i} is to be at least {float(lower[0])!r} and at most {float(upper[0])!r}"
        return True


def _conjuncts(part: Formula) -> Iterable[Formula]:
    return chain.from_iterable(map(_conjuncts, part.parts)) if isinstance(part, And) else (part,)


def _conjunctions(part: Formula) -> Iterable[Conjunction]:
    """Those whose disjunction it is."""
    if isinstance(part, Or):
        return chain.from_iterable(map(_conjunctions, part.parts))
    if isinstance(part, And):
        combinations = product(*(tuple(_conjunctions(own)) for own in part.parts))
        return (tuple(chain.from_iterable(own)) for own in combinations)
    return ((part,),)


def _size(part: Formula) -> tuple[int, int]:
    """How many conjunctions it has, and how many comparisons these have together."""
    if not isinstance(part, (And, Or)):
        return 1, 1
    count, atoms = (1, 0) if isinstance(part, And) else (0, 0)
    for own_count, own_atoms in map(_size, part.parts):
        if isinstance(part, Or):
            count, atoms = count + own_count, atoms + own_atoms
        else:
            count, atoms = count * own_count, atoms * own_count + count * own_atoms
    return count, atoms


def _narrowed(ends: Ends, bound: Bound) -> Ends:
    lower, upper = ends
    own = (bound.value, bound.strict)
    if bound.upper:
        return lower, own if upper is None or (own[0], not own[1]) < (upper[0], not upper[1]) else upper
    return own if lower is None or own > lower else lower, upper


def _rounded(ends: Ends) -> tuple[float, float, float, float]:
    """Lower and upper end rounded outwards, then both inwards."""
    (lower, above), (upper, below) = ends  # type: ignore[misc]
    outer_lower, inner_lower = _neighbours(lower)
    inner_upper, outer_upper = _neighbours(upper)
    if above and inner_lower == lower:
        inner_lower = np.nextafter(inner_lower, np.inf)
    if below and inner_upper == upper:
        inner_upper = np.nextafter(inner_upper, -np.inf)
    return outer_lower, outer_upper, inner_lower, inner_upper


def _interval(ends: Ends) -> Interval:
    (lower, above), (upper, below) = ends  # type: ignore[misc]
    return Interval(lower, upper, above, below)


def _neighbours(value: Fraction) -> tuple[float, float]:
    """The greatest float64 not above it and the least not below it."""
    nearest = float(value)
    n, d = nearest.as_integer_ratio()
    difference = n * value.denominator - value.numerator * d
    if difference == 0:
        return nearest, nearest
    if difference < 0:
        return nearest, float(np.nextafter(nearest, np.inf))
    return float(np.nextafter(nearest, -np.inf)), nearest


def _many(count: int) -> str:
    return str(count) if count < 10**12 else "more than 10^12"
