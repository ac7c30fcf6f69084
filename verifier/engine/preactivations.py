"""Boxes of nonlinearities' inputs as a verifier wants them: back-substitution for the unstable neurons only.

Where the interval image of a neuron's input already keeps one sign, its ReLU is exact and no tighter box would change
anything further on (`Function.unstable` says where). The rest get DeepPoly's bounds, intersected with the interval.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ..functions import Box, Lines
from .anchor import Anchor
from .engine import Engine
from .errors import Errors
from .images import affine_images, image
from .neuron_rows import Neurons, neuron_bounds
from .plan import Array
from .steps import Bend
from .zonotope import Zonotope, free, input_zonotope, through

_NEURONS = 64  # for each free input, from which zonotopes pay
_PART = 20_000_000_000  # multiplications between two looks at the clock, if every row went through the whole network
_MEMORY = 1 << 28  # bytes of the coefficients that are alive together
_COPIES = 5  # of the widest of these
_ROWS = 4096  # at a time

Stop = Callable[[], bool]


@np.errstate(over="ignore", invalid="ignore")
def relaxed(
    engine: Engine,
    anchor: Anchor,
    errors: Errors,
    *,
    memory: int = _MEMORY,
    stop: Stop = lambda: False,
    signs: Mapping[str, Array] | None = None,
) -> tuple[dict[str, Box], dict[str, Lines]]:
    """The box [B, n] of every nonlinearity's input, by its name, whatever rounded; and its lines there.

    errors: at the input; grown on the way up to the output. memory: bytes for coefficients, of a part of the neurons at
    a time. stop: asked before every part; once it says so, what is left keeps the interval image. signs [B, n]: 1 where
    a nonlinearity's input is known to be never negative, -1 never positive, from a box around.
    """
    known = {} if anchor.ball is None else affine_images(engine, anchor)
    boxes, pre, lines = {0: anchor.box}, dict[str, Box](), dict[str, Lines]()
    points, forwards = {0: (anchor.box.lower + anchor.box.upper) / 2}, _zonotopes(engine, anchor, errors)
    refining = _Refining(engine, anchor, errors, memory, stop)
    last = max((bend.out for bend in engine.bends.values()), default=0)
    for step in engine.steps:
        box, bounding = None, None
        if isinstance(step, Bend):
            box = errors.widened(step.into, boxes[step.into])
            if step.name not in engine.exact:
                if forwards:
                    box = _common(box, forwards[step.into].box())
                if signs is not None:
                    box = _signed(box, signs[step.name])
                box = refining(step, box, points[step.into] > 0, lines)
            boxes[step.into] = pre[step.name] = box
            lines[step.name] = bounding = step.function.lines(box, None)
        errors.reach(step, box)
        if step.out >= last:
            continue  # of what follows the last nonlinearity nothing more is asked
        inputs = (step.into,) if isinstance(step, Bend) else step.inputs
        if forwards:
            before = [forwards[number] for number in inputs]
            forwards[step.out] = errors.beyond(step, before, through(step, forwards, box, bounding), box)
        values = [points[number] for number in inputs]
        points[step.out] = step.function.forward(*values) if isinstance(step, Bend) else step.forward(*values)
        boxes[step.out] = known.get(step.out) or image(step, boxes)
    return pre, lines


def unstable_preactivations(
    engine: Engine, anchor: Anchor, errors: Errors, *, memory: int = _MEMORY, stop: Stop = lambda: False
) -> dict[str, Box]:
    """The boxes of `relaxed` alone."""
    return relaxed(engine, anchor, errors, memory=memory, stop=stop)[0]


def _zonotopes(engine: Engine, anchor: Anchor, errors: Errors) -> dict[int, Zonotope]:
    """The input's, where it has so few free entries that going forwards first spares more than it costs; else none."""
    count, largest = len(free(anchor.box)), max(map(engine.size, range(len(engine.plan.values))))
    room = len(anchor.box.lower) * count * largest * engine.dtype.itemsize <= _MEMORY
    if not 0 < count * _NEURONS <= engine.neurons or not room:
        return {}
    return {0: input_zonotope(anchor.box)._replace(deviation=errors.own[0])}


def _signed(box: Box, signs: Array) -> Box:
    lower, upper = box
    return Box(np.where(signs > 0, np.maximum(lower, 0), lower), np.where(signs < 0, np.minimum(upper, 0), upper))


def _common(a: Box, b: Box) -> Box:
    return Box(np.maximum(a.lower, b.lower), np.minimum(a.upper, b.upper))


class _Refining:
    """Boxes narrowed by back-substitution of the unstable entries, a part of them at a time."""

    def __init__(self, engine: Engine, anchor: Anchor, errors: Errors, memory: int, stop: Stop) -> None:
        self._engine, self._anchor, self._errors, self._stop = engine, anchor, errors, stop
        self._many = min(_ROWS, max(64, _PART // engine.multiplications))
        if anchor.ball is not None or not engine.compiled:
            widest = max(map(engine.size, range(len(engine.plan.values))))
            self._many = max(1, min(self._many, memory // (_COPIES * widest * engine.dtype.itemsize)))

    def __call__(self, bend: Bend, box: Box, likely: Array, lines: Mapping[str, Lines]) -> Box:
        """likely [B, n]: which entries are rather positive; of one that keeps its sign the bound on that side is all
        that matters."""
        lower, upper = (end.copy() for end in box)
        number, neuron = np.nonzero(bend.function.unstable(box))
        for first in range(0, len(number), self._many):
            at = number[first : first + self._many], neuron[first : first + self._many]
            sign = np.where(likely[at], 1.0, -1.0)
            for _ in range(2):
                if len(sign) == 0 or self._stop():
                    break
                rows = Neurons(bend.name, at[1], sign, at[0])
                found = neuron_bounds(self._engine, rows, lines, self._anchor, self._errors)
                lower[at] = np.where(sign > 0, np.fmax(lower[at], found), lower[at])
                upper[at] = np.where(sign < 0, np.fmin(upper[at], -found), upper[at])
                rest = found < 0 if bend.function.kinked else np.ones_like(found, bool)
                at, sign = (at[0][rest], at[1][rest]), -sign[rest]
        return Box(lower, upper)
