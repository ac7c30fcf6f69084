"""What makes a point a witness: onnxruntime, on the file itself, gives outputs that fulfil every row exactly.

Where an input is fed a float32 number beside its interval, which holds none, the nearest point of the exact box has to
break the property as well, in exact arithmetic.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..answer import Witness
from ..engine.anchor import Anchor
from ..engine.engine import Engine
from ..engine.errors import by_intervals, in_range
from ..engine.plan import Array
from ..exact.forward import enclosure, evaluated
from ..exact.linear import Linear
from ..exact.rational import BeyondExactError
from ..functions import Box
from ..network import Network
from ..spec import Clause, Row
from ..spec.judge import unsafe
from .clauses import Group

_MOST = 1 << 25  # multiplications of a network that is evaluated exactly
_SMALL = 1 << 18  # of one whose values are not rounded however long they get
_LONG, _BITS = 1 << 12, 256  # that they are rounded to: as good as none, and otherwise
_EXACT_TRIES = 16  # of one group's points, where onnxruntime and exact arithmetic differ


class Judge:
    """doubts: of each group that has one, why a point which onnxruntime confirmed is no witness."""

    def __init__(self, network: Network, groups: Sequence[Group]) -> None:
        self._network, self._groups = network, groups
        self._engine, self._linear = network.engine.real, Linear(network.engine)
        self._tries: dict[int, int] = {}
        self.doubts: dict[int, str] = {}

    def witness(self, group: int, point: np.ndarray) -> Witness | None:
        """For a point [n] that the group's box is fed, in its type."""
        known, shape = self._groups[group], self._network.graph.input_shape
        if known.labelled is not None:
            return known.labelled.witness(point)
        y = self._network.runtime.logits(point.reshape(1, *shape))[0]
        broken = [clause for clause in known.clauses if unsafe(clause, point, y)]
        if not broken:
            self._doubt_the_only_point(group, point)
            return None
        if known.clauses[0].between and not self._holds_exactly(group, broken[0], point):
            return None
        return Witness(point, y)

    def _doubt_the_only_point(self, group: int, point: np.ndarray) -> None:
        """Of a box of one point: where that breaks the property in exact numbers, nothing is proved either."""
        known = self._groups[group]
        if group in self._tries or not (known.proof.lower == known.proof.upper).all():
            return
        self._tries[group] = 0
        if self._engine.rounding or self._engine.multiplications > _SMALL:
            return
        try:
            broken = self._exactly_unsafe(group, known.clauses[0], point, _LONG)
        except BeyondExactError:
            return
        if broken:
            self.doubts[group] = (
                "the only point of the box breaks the property in exact numbers, and not in onnxruntime, "
                "whose rounding leads across the border"
            )

    def _holds_exactly(self, group: int, clause: Clause, point: np.ndarray) -> bool:
        """Whether some clause of the group is unsafe at the nearest point of the exact box."""
        tried = self._tries.get(group, 0)
        if tried == _EXACT_TRIES:
            return False
        self._tries[group] = tried + 1
        at = point.astype(np.float64)[None]
        if self._engine.rounding or not in_range(self._engine, Box(at, at)):
            return self._holds_beyond_rounding(group, clause, point)
        work = self._engine.multiplications
        if work > _MOST:
            self.doubts[group] = "the network is too large for exact arithmetic at the point between float32 numbers"
            return False
        try:
            if self._exactly_unsafe(group, clause, point, _LONG if work <= _SMALL else _BITS):
                return True
        except BeyondExactError as error:
            self.doubts[group] = f"no exact arithmetic at the point between float32 numbers: {error}"
            return False
        self.doubts[group] = (
            "onnxruntime breaks the property at the nearest float32 numbers, exact arithmetic not at the exact ones"
        )
        return False

    def _holds_beyond_rounding(self, group: int, clause: Clause, point: np.ndarray) -> bool:
        """Of a network whose constants are not exact, in float64 and by more than may have rounded."""
        exact, known = np.array([float(value) for value in clause.nearest(point)]), self._groups[group]
        rows, offset = known.rows, known.offset
        broken = surely_broken(self._engine, exact, rows.reshape(-1, rows.shape[2]), offset.ravel())
        if broken.reshape(offset.shape).all(1).any():
            return True
        self.doubts[group] = (
            "onnxruntime breaks the property at the nearest float32 numbers; at the exact ones it is broken by less "
            "than the network's constants are known to"
        )
        return False

    def _exactly_unsafe(self, group: int, clause: Clause, point: np.ndarray, most_bits: int) -> bool:
        """Whether some clause of the group is, in exact numbers, at the nearest point of the exact box."""
        nearest = clause.nearest(point)
        known = evaluated(self._linear, enclosure(nearest, nearest), most_bits=most_bits)
        ends = known[self._engine.output].ends()
        return any(all(_holds(row, *ends) for row in rows) for rows in self._groups[group].exact)


@np.errstate(over="ignore", invalid="ignore")  # no number breaks nothing
def surely_broken(engine: Engine, point: Array, rows: Array, offset: Array) -> Array:
    """Which rows [R, K] · y + offset [R] are negative at a point [n], and at what rounds to it, whatever rounded."""
    errors = by_intervals(engine, Anchor(Box(point[None], point[None])))
    values = rows @ engine.evaluate(point[None])[0] + offset
    return np.asarray(values + errors.rows(rows[None], offset[None])[0] < 0)


def _holds(row: Row, lower: list[Fraction], upper: list[Fraction]) -> bool:
    """Whether a row holds of all outputs between these."""
    most = row.offset + sum(
        (factor * (upper if factor > 0 else lower)[index] for index, factor in row.terms), Fraction(0)
    )
    return most < 0 or (most == 0 and not row.strict)
