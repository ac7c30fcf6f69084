"""Back-substitution in numpy: rows over any value of the network, carried back to the input.

    A · v  >=  A_z · z + constant   through v = f(z), by the lower line of f where A >= 0, the upper where A < 0
    min over a box of A · x  =  A · centre - |A| · radius

(Singh et al. 2019, DeepPoly; Zhang et al. 2018, CROWN, theorem 3.2.) Upper bounds are lower bounds of the negated rows.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from .. import deadline
from ..functions import Box, Lines
from .anchor import Anchor
from .engine import Engine
from .plan import Array
from .steps import Bend


class Spec(NamedTuple):
    """`rows` [B|1, M, K] and `offset` [B|1, M]: to prove rows · y + offset > 0."""

    rows: Array
    offset: Array


class Substituted(NamedTuple):
    """What is left of rows over the input: value [B, M] at the centre, coef [B, M, inputs].

    met [B|1, M, n], by name of a nonlinearity's input: the coefficients that met its lines.
    """

    value: Array
    coef: Array
    met: dict[str, Array]

    @property
    def met_low(self) -> dict[str, Array]:
        """Those that met the lower lines; else 0."""
        return {name: np.maximum(coef, 0) for name, coef in self.met.items()}

    @property
    def met_up(self) -> dict[str, Array]:
        """Those that met the upper lines; else 0."""
        return {name: np.minimum(coef, 0) for name, coef in self.met.items()}

    def least(self, anchor: Anchor) -> Array:
        """Lower bounds [B, M] of the rows."""
        with np.errstate(invalid="ignore", over="ignore"):
            if anchor.ball is not None:
                return self.value + anchor.ball.least(self.coef)
            return self.value - dot(abs(self.coef), anchor.radius[:, None])


def relax(engine: Engine, pre: Mapping[str, Box], slopes: Mapping[str, Array] | None = None) -> dict[str, Lines]:
    """Lines of every nonlinearity whose input box is known, by name of that input."""
    return {
        name: bend.function.lines(pre[name], slopes.get(name) if slopes else None)
        for name, bend in engine.bends.items()
        if name in pre
    }


def substituted(
    engine: Engine,
    start: int,
    rows: Array,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    multipliers: Mapping[str, Array] | None = None,
    *,
    keep: bool = True,
) -> Substituted:
    """Rows [B|1, M, n] over the value number `start`, carried back by lines [B, 1|M, n].

    multipliers [B, 1|M, n]: added to the coefficients of a nonlinearity's input (a signed Lagrangian of its split, Wang
    et al. 2021). keep: also what met the lines. Raises `OutOfTime` past the deadline, where one is set.
    """
    total, met = np.zeros((), rows.dtype), dict[str, Array]()
    coefs = {start: rows}
    with np.errstate(invalid="ignore", over="ignore"):
        for step in reversed(engine.steps):
            extra = multipliers.get(step.name) if multipliers and isinstance(step, Bend) else None
            if step.out not in coefs:
                if extra is None:
                    continue
                coefs[step.out] = np.zeros((1, 1, 1), rows.dtype)  # that no row sees it is no reason to leave it out
            deadline.check()
            coef = coefs.pop(step.out)
            if isinstance(step, Bend):
                if keep:
                    met[step.name] = coef
                constant, coef = through_lines(coef, lines[step.name])
                total = total + constant
                below: Iterable[tuple[int, Array]] = [(step.into, coef if extra is None else coef + extra)]
            else:
                if step.offset is not None:
                    total = total + coef @ step.offset
                parts = step.back(coef.reshape(-1, coef.shape[2]))
                below = zip(step.inputs, (part.reshape(*coef.shape[:2], -1) for part in parts), strict=True)
            for number, part in below:
                coefs[number] = coefs[number] + part if number in coefs else part
        coef = coefs.get(0, np.zeros((1, 1, engine.inputs), rows.dtype))
        total = total + dot(coef, anchor.centre[:, None])
    shape = np.broadcast_shapes(total.shape, (len(anchor.box.lower), rows.shape[1]))
    return Substituted(np.broadcast_to(total, shape), np.broadcast_to(coef, (*shape, engine.inputs)), met)


def through_lines(coef: Array, lines: Lines) -> tuple[Array, Array]:
    """Rows over f(z) as constants [B, M] and rows over z, by the lines below them."""
    positive = np.maximum(coef, 0)
    negative = coef - positive
    constant = dot(negative, lines.upper_start)
    if lines.lower_start is not None:
        constant = constant + dot(positive, lines.lower_start)
    return constant, positive * lines.lower_slope + negative * lines.upper_slope


def dot(rows: Array, values: Array) -> Array:
    """The products [B, M] of rows [B|1, M, n] with values [B|1, 1|M, n]."""
    if values.shape[1] == 1 < rows.shape[1]:
        return (rows @ values[:, 0, :, None])[..., 0]
    return np.asarray(np.einsum("bmn,bmn->bm", *np.broadcast_arrays(rows, values)))


def spec_bound(
    engine: Engine,
    spec: Spec,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    multipliers: Mapping[str, Array] | None = None,
) -> Array:
    """Lower bounds [B, M] of the specification rows by one back-substitution."""
    found = substituted(engine, engine.output, spec.rows, lines, anchor, multipliers, keep=False)
    return found.least(anchor) + spec.offset
