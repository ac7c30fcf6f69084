"""Functions of one number that are made of lines, in exact numbers; where two of them meet they may jump."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

_MOST_CUTS = 8
_MOST_BITS = 4096  # of a number

Line = tuple[Fraction, Fraction]  # slope and offset
Rule = Callable[[Sequence[Line], Fraction], Line]  # of lines that all hold at a number, around which it is asked


class NoPiecesError(Exception):
    """The function is not of a few lines."""


class Pieces(NamedTuple):
    """`lines` before, between and after `cuts`; the values `at` these."""

    cuts: tuple[Fraction, ...]
    lines: tuple[Line, ...]
    at: tuple[Fraction, ...]

    def line(self, x: Fraction) -> Line:
        """The one that holds around x, or at a cut the value as a level line."""
        if x in self.cuts:
            return Fraction(0), self.at[self.cuts.index(x)]
        return self.lines[sum(cut < x for cut in self.cuts)]

    def jump(self) -> tuple[Fraction, Fraction, Fraction] | None:
        """The first cut at which it jumps, and two of its values there; None where there is none."""
        for cut, value, (left, right) in zip(self.cuts, self.at, pairwise(self.lines), strict=True):
            ends = value_of(left, cut), value_of(right, cut)
            if ends[0] != ends[1] or value != ends[0]:
                return cut, ends[0], ends[1] if ends[0] != ends[1] else value
        return None


class Traced(NamedTuple):
    """A value of the file as a function of another, `base`; of none where it is one number. truth: it is a bool."""

    base: str | None
    pieces: Pieces
    truth: bool = False


IDENTITY = Pieces((), ((Fraction(1), Fraction(0)),), ())


def level(value: Fraction) -> Pieces:
    return Pieces((), ((Fraction(0), value),), ())


def value_of(line: Line, x: Fraction) -> Fraction:
    return line[0] * x + line[1]


def combined(rule: Rule, parts: Sequence[Pieces], turning: Pieces | None = None) -> Pieces:
    """What `rule` makes of functions, piece by piece; it may also change where `turning` does or changes its sign.

    Raises `NoPiecesError` where the pieces or their numbers become too many.
    """
    cuts = {cut for part in (*parts, *([turning] if turning else [])) for cut in part.cuts}
    cuts |= _zeros(turning) if turning else set()
    places = sorted(cuts)
    if len(places) > _MOST_CUTS:
        raise NoPiecesError
    lines = [rule([part.line(x) for part in parts], x) for x in _between(places)]
    at = [value_of(rule([part.line(x) for part in parts], x), x) for x in places]
    if any(n.denominator.bit_length() + n.numerator.bit_length() > _MOST_BITS for pair in lines for n in pair):
        raise NoPiecesError
    kept = [k for k, x in enumerate(places) if lines[k] != lines[k + 1] or at[k] != value_of(lines[k], x)]
    return Pieces(tuple(places[k] for k in kept), (lines[0], *(lines[k + 1] for k in kept)), tuple(at[k] for k in kept))


def _between(places: Sequence[Fraction]) -> list[Fraction]:
    """A number before, between and after all of them."""
    if not places:
        return [Fraction(0)]
    return [places[0] - 1, *((a + b) / 2 for a, b in pairwise(places)), places[-1] + 1]


def _zeros(part: Pieces) -> set[Fraction]:
    roots = {-offset / slope for slope, offset in part.lines if slope}
    return {x for x in roots if x in part.cuts or value_of(part.line(x), x) == 0}
