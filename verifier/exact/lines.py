"""Nonlinearities in exact back-substitution: rows over their outputs become rows over their inputs, from below.

    each neuron by its own lines:  a · z  or  u / (u - l) · (z - l)  for a ReLU, the ends of its values for others
    two at once, w · (f(p) - f(q)) with w > 0 and d = p - q in [l, u], for an f that rises by at most 1:
                                   w · 0  where l >= 0,   w · d  where u <= 0,   else  w · l / (u - l) · (u - d)

The second (ReluDiff, Paulsen et al. 2020, arXiv:2001.03662) keeps what two copies of a network have in common, and what
a Clip, relu(z) - relu(z - 1), is made of.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .rational import Exact, of_fractions, reduced

Forms = dict[int, Exact]  # rows [R, entries] over several values by number, which count together
Entry = tuple[int, int]  # of the value by number
_LONG, _STEPS = 1 << 11, 1 << 20  # bits of all slopes together; the slopes that are taken beyond them
_MOST_BITS, _FINE = 1 << 9, 1 << 256  # of an end's denominator, and what it is rounded to beyond
RISING = frozenset({"Relu", "Sigmoid", "Softplus"})  # by at most 1 for each unit


class Range(NamedTuple):
    """Ends of every entry of a value, flattened; None: not bounded on that side."""

    lower: list[Fraction | None]
    upper: list[Fraction | None]

    def sign(self, entry: int) -> int:
        """1 where never negative, -1 where never positive, else 0."""
        lower, upper = self.lower[entry], self.upper[entry]
        return 1 if lower is not None and lower >= 0 else -1 if upper is not None and upper <= 0 else 0


def shortened(values: Range) -> Range:
    """The same but for ends of very many digits, which are moved outwards a little."""

    def short(value: Fraction | None, sign: int) -> Fraction | None:
        if value is None or value.denominator.bit_length() <= _MOST_BITS:
            return value
        scaled = sign * value * _FINE
        return sign * Fraction(-(-scaled.numerator // scaled.denominator), _FINE)

    return Range([short(value, -1) for value in values.lower], [short(value, 1) for value in values.upper])


class Lines(NamedTuple):
    """Exact lines below and above f: slopes and starts [entries]; a start of None: there is no line on that side."""

    lower_slope: list[Fraction]
    lower_start: list[Fraction | None]
    upper_slope: list[Fraction]
    upper_start: list[Fraction | None]


def relu_lines(box: Range) -> Lines:
    """The lines of least area; where there are so many that their numbers would grow too long together, with slopes
    near those."""
    unstable = [entry for entry in range(len(box.lower)) if not box.sign(entry)]
    lengths = sum(
        _width(box, entry).denominator.bit_length() + _width(box, entry).numerator.bit_length() for entry in unstable
    )
    coarse = lengths > _LONG
    lines = Lines([], [], [], [])
    for entry, (l, u) in enumerate(zip(box.lower, box.upper, strict=True)):
        sign = box.sign(entry)
        low = high = Fraction(int(sign > 0))
        start: Fraction | None = Fraction(0)
        if sign == 0 and (l is None or u is None):
            low, high, start = Fraction(0), Fraction(0), None if u is None else u
        elif sign == 0 and l is not None and u is not None:
            low = Fraction(int(u > -l))
            high = u / (u - l)
            if coarse:
                high = Fraction(round(high * _STEPS), _STEPS)
            start = max(-high * l, (1 - high) * u)
        lines.lower_slope.append(low)
        lines.lower_start.append(Fraction(0))
        lines.upper_slope.append(high)
        lines.upper_start.append(start)
    return lines


def _width(box: Range, entry: int) -> Fraction:
    lower, upper = box.lower[entry], box.upper[entry]
    return Fraction(0) if lower is None or upper is None else upper - lower


def flat_lines(values: Range) -> Lines:
    """The ends of f's own values."""
    none = [Fraction(0)] * len(values.lower)
    return Lines(none, values.lower, none, values.upper)


def through(rows: Exact, lines: Lines) -> tuple[Exact, list[Fraction | None]]:
    """Rows [R, entries] over f's outputs as rows over its inputs, and what adds to each; None: it has no bound."""
    entries = rows.numbers.shape[1]
    slopes = of_fractions([*lines.lower_slope, *lines.upper_slope], (2, entries))
    above = np.where(rows.numbers > 0, slopes.numbers[0], slopes.numbers[1])
    added: list[Fraction | None] = []
    for row in rows.numbers:
        total: Fraction | None = Fraction(0)
        for entry in np.flatnonzero(row != 0).tolist():
            start = lines.lower_start[entry] if row[entry] > 0 else lines.upper_start[entry]
            if start is None:
                total = None
                break
            total += row[entry] * start
        added.append(None if total is None else total * rows.unit)
    return reduced(Exact(rows.numbers * above, rows.unit * slopes.unit)), added


class Pair(NamedTuple):
    """weight · (f(first) - f(second)) of one row, weight > 0, of entries of f's outputs."""

    row: int
    weight: Fraction
    first: Entry
    second: Entry


def pairs(forms: Mapping[int, Exact], kinds: Mapping[int, str]) -> Iterator[Pair]:
    """Entries of rising functions, of one kind, that a row has with opposite factors; first those of one place in two
    values. kinds: the operator of each value."""
    count = len(next(iter(forms.values())).numbers)
    for row in range(count):
        alike: dict[tuple[str, Fraction], tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
        for number, form in forms.items():
            for entry in np.flatnonzero(form.numbers[row] != 0).tolist() if kinds[number] in RISING else ():
                factor = form.numbers[row, entry] * form.unit
                alike[kinds[number], abs(factor)][int(factor < 0)].append((number, entry))
        for (_, weight), (above, below) in alike.items():
            for first, second in _matched(above, below):
                yield Pair(row, weight, first, second)


def _matched(above: list[Entry], below: list[Entry]) -> Iterator[tuple[Entry, Entry]]:
    waiting: dict[int, list[Entry]] = defaultdict(list)
    for own in below:
        waiting[own[1]].append(own)
    left = []
    for first in above:
        if waiting[first[1]]:
            yield first, waiting[first[1]].pop(0)
        else:
            left.append(first)
    yield from zip(left, [own for rest in waiting.values() for own in rest], strict=False)


def difference_line(lower: Fraction | None, upper: Fraction | None) -> tuple[Fraction, Fraction] | None:
    """Slope and start of the line below f(p) - f(q), in d = p - q; None where there is none."""
    if lower is not None and lower >= 0:
        return Fraction(0), Fraction(0)
    if upper is not None and upper <= 0:
        return Fraction(1), Fraction(0)
    if lower is None or upper is None:
        return None if lower is None else (Fraction(0), lower)
    slope = -lower / (upper - lower)
    return slope, -slope * upper
