"""Whether a loaded graph computes what onnxruntime computes on the file, at a few points: a translation that nobody has
seen agree is not trusted.

The network is evaluated in float64, onnxruntime in the file's type, and so they differ by rounding, which a network may
magnify. How far is measured: each step of the engine is disturbed at random, a few times, by as much as it may round,

    e = u · min(n, 2 √n) · (|W| |v| + |b|)          affine, of n terms (u = 2^-24 for float32)
    e = 8 u · (|f(z)| + min(1, |z|))                a curve; a corner, as of Relu, is exact

and outputs may differ by 8 times the furthest that they moved, and 4 u of themselves. That is enough: a sum's roundings
have mixed signs, or cancel in blocks; and it does not grow with depth beyond what the network does to errors. Points at
which a step leaves the numbers that the type can hold say nothing.
"""

from collections import Counter
from collections.abc import Iterable
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from .engine.engine import Engine
from .engine.plan import Array
from .engine.steps import Affine, Bend
from .errors import UnsupportedError
from .graph.load import Translated, translated
from .graph.simplify import part_nonlinearities
from .replay import Runtime

_DISTURBED, _FACTOR = 4, 8.0


class Span(NamedTuple):
    """What a value is at P points, and how far rounding may carry it: each [P, n]."""

    value: Array
    room: Array


def check(engine: Engine, runtime: Runtime, x: np.ndarray) -> None:
    """Raises `UnsupportedError` where the engine's values at inputs x [P, *v] are not those of the file, with the node
    where the difference begins."""
    reading, ending = runtime.reading, engine.graph.ending
    span = _spans(engine, x, _unit(runtime), [engine.output])[engine.output]
    told = [_row(runtime, [port.name for port in reading.logits], point, ending is not None) for point in x]
    first = 0
    for place, port in enumerate(reading.logits):
        part = Span(*(each[:, first : first + port.size] for each in span))
        found = _differs(port.dims, [outputs[place] for outputs in told], part)
        if found is not None:
            where = _begins(runtime, x) or f"in the output {port.name!r} {found}"
            raise UnsupportedError(
                f"{runtime.file.path}: glscert does not read this network as onnxruntime does, so it can say nothing "
                f"about it: {where}. Export it with another opset or other operators, and report the file."
            )
        first += port.size


def _row(runtime: Runtime, names: list[str], x: np.ndarray, inside: bool) -> list[np.ndarray]:
    return runtime.inside(names, x) if inside else runtime.single(x)


def _unit(runtime: Runtime) -> float:
    return float(np.finfo(runtime.reading.dtype).eps) / 2


def _differs(dims: tuple[int, ...], theirs: list[np.ndarray], span: Span) -> str | None:
    """What onnxruntime's arrays have that a span of the same value, of shape `dims` in the file, has not."""
    for given in theirs:
        if given.shape != dims:
            return f"onnxruntime gives the shape {list(given.shape)}, glscert {list(dims)}"
    found, value = np.stack([given.reshape(-1) for given in theirs]).astype(np.float64), span.value
    with np.errstate(invalid="ignore"):
        apart = ~(np.abs(found - value) <= span.room) & np.isfinite(span.room)
    if not apart.any():
        return None
    point, entry = np.argwhere(apart)[0].tolist()
    return f"onnxruntime gives {found[point, entry]:.7g} for entry {entry}, glscert {value[point, entry]:.7g}"


def _begins(runtime: Runtime, x: np.ndarray) -> str | None:
    """The first operator of the file, in its order, whose value differs from onnxruntime's; None where none does."""
    read = translated(runtime.file.model, runtime.reading.entries)
    engine = Engine(*part_nonlinearities(read.graph, read.builder.params, read.builder.names))
    bound = read.builder.bound()
    known = [name for node in read.live for name in node.output if name in bound]
    numbers = [engine.number[bound[name].name] for name in known]
    spans = _spans(engine, x, _unit(runtime), numbers)
    try:
        told = [runtime.inside(known, point) for point in x]
    except UnsupportedError:
        return None
    for place, (name, number) in enumerate(zip(known, numbers, strict=True)):
        found = _differs(bound[name].dims, [outputs[place] for outputs in told], spans[number])
        if found is not None:
            return f"at {_shown(read, name)} {found}"
    return None


def _shown(read: Translated, name: str) -> str:
    node = next(node for node in read.live if name in node.output)
    return f"operator {node.op_type} (node {node.name or name!r})"


@np.errstate(over="ignore", invalid="ignore")
def _spans(engine: Engine, x: np.ndarray, unit: float, wanted: Iterable[int]) -> dict[int, Span]:
    """A `Span` of each value `wanted`, by number; its room is infinite at points where a step is beyond the type."""
    random, wanted = np.random.default_rng(0), set(wanted)
    most = float(np.finfo(np.float32 if unit > 1e-10 else np.float64).max) / 4
    given, beyond = x.reshape(len(x), -1).astype(np.float64), np.zeros(len(x), bool)
    plain, moved = {0: given}, {0: _copies(given)}
    spans = {0: _span(given, moved[0], beyond, unit)}
    unread = Counter(number for step in engine.steps for number in _read(step))
    for step in engine.steps:
        inputs = [plain[number] for number in _read(step)]
        value, other = (_forward(step, [kind[number] for number in _read(step)]) for kind in (plain, moved))
        size = _rounds(step, inputs, value)
        if size is not None:
            beyond = beyond | ~((np.abs(value) + size).max(1) < most)
            other = other + unit * random.choice([-1.0, 1.0], other.shape) * _copies(size)
        plain[step.out], moved[step.out] = value, other
        if step.out in wanted:
            spans[step.out] = _span(value, other, beyond, unit)
        for number in _read(step):
            unread[number] -= 1
            if not unread[number]:  # room for what follows
                plain.pop(number, None), moved.pop(number, None)
    return spans


def _read(step: Affine | Bend) -> tuple[int, ...]:
    return (step.into,) if isinstance(step, Bend) else step.inputs


def _forward(step: Affine | Bend, values: list[Array]) -> Array:
    found: Array = step.function.forward(values[0]) if isinstance(step, Bend) else step.forward(*values)
    return found


def _span(value: Array, moved: Array, beyond: Array, unit: float) -> Span:
    far = beyond[:, None]
    off = np.where(far, 0, np.abs(moved.reshape(_DISTURBED, *value.shape) - value)).max((0, 1))
    room = _FACTOR * off + 4 * unit * np.abs(value) + np.finfo(np.float32).tiny
    return Span(value, np.where(far, inf, room))


def _copies(value: Array) -> Array:
    return np.tile(value, (_DISTURBED, 1))


def _rounds(step: Affine | Bend, inputs: list[Array], value: Array) -> Array | None:
    """What a step may round by, in units; None where it does not."""
    if isinstance(step, Bend):
        return None if step.function.kinked else 8 * (np.abs(value) + np.minimum(np.abs(inputs[0]), 1))
    if _still(step, inputs):
        return None
    terms, size = max(2, step.terms), step.spread(*map(np.abs, inputs))
    return min(terms, 2 * sqrt(terms)) * (size if step.offset is None else size + np.abs(step.offset))


def _still(step: Affine, inputs: list[Array]) -> bool:
    """Every entry is one of the input's, or 0."""
    if len(inputs) > 1 or step.terms > 1 or step.offset is not None:
        return False
    return bool(np.isin(step.linear(np.ones_like(inputs[0][:1])), (0, 1)).all())
