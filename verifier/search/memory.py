"""How many inputs fit through a stage at once."""

from math import prod

from ..engine.engine import Engine
from ..engine.plan import CORRELATE, PAIRS, Op

COPIES = 5  # buffers of the widest rows that are alive together
_BOXES = 4  # numbers for each value of the network that are alive together
_ROWS = 3  # copies of a specification's rows that are alive together
_PASS = 20_000_000_000  # multiplications between two looks at the clock
_WHOLE = 1 << 20  # rows or columns of a window that spans any map


def inputs_at_once(engine: Engine, budget: int) -> int:
    """Inputs whose coefficients stay under `budget` bytes in DeepPoly, at least 1."""
    names = [name for name in engine.bends if name not in engine.exact]
    widest = max((coefficients(engine, name) for name in names), default=1)
    return max(1, budget // (widest * engine.dtype.itemsize * COPIES))


def rows_at_once(engine: Engine, inputs: int, budget: int) -> int:
    """Rows of each of so many inputs whose coefficients stay under `budget` bytes on their way, at least 1."""
    return max(1, budget // (engine.dtype.itemsize * COPIES * inputs * largest(engine)))


def inputs_per_pass(engine: Engine, budget: int, rows: int = 0) -> int:
    """Inputs whose values, bounded or differentiated from end to end, stay under `budget` bytes with so many rows of
    each over the outputs, in a pass after which the clock is looked at; at least 1."""
    values = sum(prod(value.shape) for value in engine.plan.values)
    held = engine.dtype.itemsize * (_BOXES * values + _ROWS * rows * engine.outputs)
    return max(1, min(budget // held, _PASS // engine.multiplications))


def largest(engine: Engine) -> int:
    """Entries of the largest value."""
    return max(prod(value.shape) for value in engine.plan.values)


def coefficients(engine: Engine, name: str) -> int:
    """Of the rows of all neurons of a bend, both signs, on their way to the input: the widest windows that they see."""
    bend, widest = engine.bends[name], 1
    whole = (_WHOLE, _WHOLE)
    reach = {bend.into: (1, 1) if prod(engine.plan.values[bend.into].shape[1:]) > 1 else whole}
    for op in reversed(engine.plan.ops):
        if op.out not in reach:
            continue
        over, other = _below(op, reach[op.out]), reach.get(op.into, (1, 1))
        reach[op.into] = max(over[0], other[0]), max(over[1], other[1])
        channels, *extent = engine.plan.values[op.into].shape
        widest = max(widest, channels * min(prod(reach[op.into]), prod(extent)))
    return 2 * bend.size * widest


def _below(op: Op, over: tuple[int, int]) -> tuple[int, int]:
    """The window over a step's input that a window over its output sees."""
    if op.kind == PAIRS or len(op.forth) > 1:
        return _WHOLE, _WHOLE
    if op.kind != CORRELATE:
        return over
    (phase,) = op.forth
    taps = [int(phase.tap[:, axis].max() - phase.tap[:, axis].min()) + 1 for axis in range(2)]
    return (over[0] - 1) * phase.stride[0] + taps[0], (over[1] - 1) * phase.stride[1] + taps[1]
