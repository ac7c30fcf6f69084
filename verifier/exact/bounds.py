"""Lower bounds of rows over a box in exact arithmetic: at a border, what is never negative is found to be so.

Back-substitution as in `backward`, value by value down to the input; on the way the rows are bounded wherever only
nonlinearities' outputs are left of them, by the ends of these. The best bound counts. Small networks get exact boxes
of their neurons first; of others only what the last nonlinearities say is known.
"""

from fractions import Fraction

import numpy as np

from ..engine.engine import Engine
from ..engine.steps import Bend
from .forward import Enclosure, enclosure
from .forward import through as through_step
from .linear import Linear
from .lines import Entry, Forms, Lines, Pair, Range, difference_line, flat_lines, pairs, relu_lines, shortened, through
from .rational import BeyondExactError, Exact
from .rows import ExactRows, add, plus

_MOST_VALUES = 20_000  # entries of all values, for intervals
_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "Softplus", "Square"})


class ExactBounds(ExactRows):
    """Over the box of `lower` and `upper`, one of each entry of the input. budget: entries of rows and values that may
    be worked on, for all boxes and again for every call."""

    def __init__(self, linear: Linear, lower: list[Fraction], upper: list[Fraction], *, budget: int) -> None:
        super().__init__(linear, budget)
        self.kinds = {number: linear.kinds[bend.name] for number, bend in self.nonlinear.items()}
        self._below = _ancestors(self.engine)
        self.boxes: dict[str, Range] = {}  # of the nonlinearities' inputs, by name
        self.values = {0: Range(list(lower), list(upper))}  # of their outputs, and of the input, by number
        self._differences: dict[tuple[Entry, Entry], Fraction | None] = {}
        self._known_lines: dict[int, Lines] = {}
        self._find_boxes(lower, upper)

    def least(self, rows: Exact, offset: list[Fraction]) -> list[Fraction | None]:
        """A lower bound of each of rows [R, K] · y + offset [R]; None where there is none."""
        found: list[Fraction | None] = [None] * len(offset)
        self.begin()
        for paired in (False, True):
            again = self._bounded({self.engine.output: rows}, paired=paired)
            found = [_larger(old, new) for old, new in zip(found, again, strict=True)]
        return [None if each is None else each + own for each, own in zip(found, offset, strict=True)]

    def _find_boxes(self, lower: list[Fraction], upper: list[Fraction]) -> None:
        """Exact boxes of all neurons, by back-substitution as far as the budget goes; none of a large network's."""
        known = {0: enclosure(lower, upper)}
        try:
            if sum(map(self.engine.size, range(len(self.engine.plan.values)))) > _MOST_VALUES:
                raise BeyondExactError("the network is too large")
            for step in self.engine.steps:
                if isinstance(step, Bend):
                    box = self.boxes[step.name] = self._refined(step, _range(known[step.into]))
                    known[step.into] = enclosure(*box)  # type: ignore[arg-type]
                known[step.out] = through_step(self.linear, step, known)
                if isinstance(step, Bend):
                    self.values[step.out] = _range(known[step.out])
        except BeyondExactError:
            pass
        for number, bend in self.nonlinear.items():
            kind = self.kinds[number]
            self.boxes.setdefault(bend.name, Range([None] * bend.size, [None] * bend.size))
            least = [Fraction(0) if kind in _NEVER_NEGATIVE else None] * bend.size
            most = [Fraction(1) if kind == "Sigmoid" else None] * bend.size
            self.values.setdefault(number, Range(least, most))

    def _refined(self, bend: Bend, box: Range) -> Range:
        """The box of a ReLU's inputs by back-substitution too, where that may tell a sign."""
        unstable = [entry for entry in range(len(box.lower)) if not box.sign(entry)]
        if not unstable or self.kinds[bend.out] != "Relu":
            return box
        numbers = np.zeros((2 * len(unstable), len(box.lower)), object)
        for row, entry in enumerate(unstable):
            numbers[row, entry], numbers[len(unstable) + row, entry] = 1, -1
        found = self._bounded({bend.into: Exact(numbers, Fraction(1))}, paired=False)
        lower, upper = list(box.lower), list(box.upper)
        for row, entry in enumerate(unstable):
            lower[entry] = _larger(lower[entry], found[row])
            high, own = found[len(unstable) + row], upper[entry]
            upper[entry] = own if high is None or own is None else min(own, -high)
        return shortened(Range(lower, upper))

    def _bounded(self, forms: Forms, *, paired: bool) -> list[Fraction | None]:
        """Bounds of rows over the values `forms`, together; as far as the budget goes."""
        count = len(next(iter(forms.values())).numbers)
        constant: list[Fraction | None] = [Fraction(0)] * count
        best: list[Fraction | None] = [None] * count
        try:
            while True:
                forms, constant = self.down(forms, constant)
                best = [_larger(old, new) for old, new in zip(best, self._ends(forms, constant), strict=True)]
                bent = [number for number in forms if number in self.nonlinear]
                front = {each: forms[each] for each in bent if not any(each in self._below[other] for other in bent)}
                if not front:
                    return best
                rest = {number: form for number, form in forms.items() if number not in front}
                if paired:
                    front, rest, constant = self._paired(front, rest, constant)
                for number, form in front.items():
                    self.spend(form.numbers.size)
                    bend = self.nonlinear[number]
                    below, more = through(form, self._lines(bend))
                    constant = [plus(old, new) for old, new in zip(constant, more, strict=True)]
                    add(rest, bend.into, below)
                forms = rest
        except BeyondExactError:
            return best

    def _lines(self, bend: Bend) -> Lines:
        if bend.out not in self._known_lines:
            relu = self.kinds[bend.out] == "Relu"
            self._known_lines[bend.out] = (
                relu_lines(self.boxes[bend.name]) if relu else flat_lines(self.values[bend.out])
            )
        return self._known_lines[bend.out]

    def _ends(self, forms: Forms, constant: list[Fraction | None]) -> list[Fraction | None]:
        """Bounds of the rows from the ends of the values that they are over."""
        found = []
        for row, total in enumerate(constant):
            for number, form in forms.items():
                lower, upper = self.values[number]
                for entry in np.flatnonzero(form.numbers[row] != 0).tolist() if total is not None else ():
                    factor = form.numbers[row, entry] * form.unit
                    end = lower[entry] if factor > 0 else upper[entry]
                    total = plus(total, None if end is None else factor * end)
            found.append(total)
        return found

    def _paired(
        self, front: Forms, rest: Forms, constant: list[Fraction | None]
    ) -> tuple[Forms, Forms, list[Fraction | None]]:
        """front without what pairs take of it, rest and constant with the lines of these."""
        found = list(pairs(front, self.kinds))
        self._find_differences(found)
        front = {number: Exact(form.numbers.copy(), form.unit) for number, form in front.items()}
        rest, constant = dict(rest), list(constant)
        for pair in found:
            first, second = (self._before(entry) for entry in (pair.first, pair.second))
            lower, opposite = self._differences[first, second], self._differences.get((second, first))
            line = difference_line(lower, None if opposite is None else -opposite)
            if line is None:
                continue
            for number, entry in (pair.first, pair.second):
                front[number].numbers[pair.row, entry] = 0
            constant[pair.row] = plus(constant[pair.row], pair.weight * line[1])
            for (number, entry), sign in ((first, 1), (second, -1)) if line[0] else ():
                numbers = np.zeros((len(constant), self.engine.size(number)), object)
                numbers[pair.row, entry] = sign
                self.spend(numbers.size)
                add(rest, number, Exact(numbers, pair.weight * line[0]))
        return front, rest, constant

    def _before(self, entry: Entry) -> Entry:
        """The entry of a nonlinearity's input, from that of its output."""
        return self.nonlinear[entry[0]].into, entry[1]

    def _find_differences(self, found: list[Pair]) -> None:
        """Lower bounds of p - q and of q - p for the entries p and q that f is applied to."""
        both = dict.fromkeys((self._before(pair.first), self._before(pair.second)) for pair in found)
        self._find_lower([each for each in both if each not in self._differences])
        # one that is never negative needs no upper bound
        turned = [(second, first) for first, second in both if _negative(self._differences[first, second])]
        self._find_lower([each for each in turned if each not in self._differences])

    def _find_lower(self, new: list[tuple[Entry, Entry]]) -> None:
        if not new:
            return
        values = {number for each in new for number, _ in each}
        numbers = {number: np.zeros((len(new), self.engine.size(number)), object) for number in values}
        for row, ((first, i), (second, j)) in enumerate(new):
            numbers[first][row, i] += 1
            numbers[second][row, j] -= 1
        forms = {number: Exact(own, Fraction(1)) for number, own in numbers.items()}
        alone, together = (self._bounded(forms, paired=paired) for paired in (False, True))
        for each, one, other in zip(new, alone, together, strict=True):
            self._differences[each] = _larger(one, other)


def _ancestors(engine: Engine) -> dict[int, set[int]]:
    """The values that each is computed from."""
    found: dict[int, set[int]] = {0: set()}
    for step in engine.steps:
        inputs = (step.into,) if isinstance(step, Bend) else step.inputs
        found[step.out] = set(inputs).union(*(found[number] for number in inputs))
    return found


def _larger(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return right if left is None else left if right is None else max(left, right)


def _range(value: Enclosure) -> Range:
    lower, upper = value.ends()
    return Range([*lower], [*upper])


def _negative(value: Fraction | None) -> bool:
    return value is None or value < 0
