"""A tiny network in fractions: its affine steps as matrices, and the bounds of rows, without any rounding.

Arrays hold `Fraction`s. What a float32 runtime rounds is charged here too, exactly; the checker itself rounds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .curves import STEPS, Bent, Greatest, Unary
from .forms import suits
from .network import INPUT, Network
from .refusal import NotCovered
from .rounding import ROOM, Arithmetic
from .steps import Affine, Array, Entrywise

_MOST = 20_000  # products of numbers, in one pass
_ZERO, _ONE = Fraction(0), Fraction(1)


def fractions(values: Array) -> Array:
    """Of finite float64 numbers, as they are."""
    found = np.empty(values.shape, object)
    found.reshape(-1)[:] = [Fraction(value) for value in values.reshape(-1).tolist()]
    return found


def positive(values: Array) -> Array:
    return np.where(values > 0, values, 0)


def negative(values: Array) -> Array:
    return np.where(values < 0, values, 0)


@dataclass(frozen=True, eq=False)
class Linear:
    """output = sum of weights [out, in] times inputs, + bias [out]; products: of an entry, 0: nothing rounds."""

    inputs: tuple[int, ...]
    output: int
    weights: tuple[Array, ...]
    bias: Array
    bias_size: Array
    products: int


@dataclass(frozen=True)
class Rectifier:
    """Relu; place: in the network's steps."""

    input: int
    output: int
    place: int


@dataclass(frozen=True, eq=False)
class ExactNetwork:
    """formed: boxes are cut to affine forms too."""

    steps: tuple[Linear | Rectifier, ...]
    output: int
    arithmetic: Arithmetic
    formed: bool

    def rho(self, step: Linear, sizes: list[Array]) -> Array:
        """How far a runtime's output may be off, for inputs of these sizes."""
        unit = Fraction(self.arithmetic.unit)
        if not step.products or not unit:
            return np.full(len(step.bias), _ZERO)
        count = step.products + ROOM
        if count * unit >= Fraction(1, 2):
            raise NotCovered("so many roundings leave nothing of a number.")
        every = sum(np.abs(w) @ m for w, m in zip(step.weights, sizes, strict=True)) + step.bias_size
        spread = sum(np.abs(w).sum(1) for w in step.weights) + sum(
            (w != 0) @ m for w, m in zip(step.weights, sizes, strict=True)
        )
        flushed = 2 * Fraction(self.arithmetic.smallest) * (spread + 2 * count)
        return every * (count * unit / (1 - count * unit)) + flushed


def exact_network(network: Network, arithmetic: Arithmetic) -> ExactNetwork:
    """Raises NotCovered where it is not tiny, has other functions than Relu, or constants that are not the file's."""
    if network.floating != np.float32:
        raise NotCovered("--exact is of networks in float32.")
    pairs = sum(
        network.sizes[number] * network.sizes[step.output]
        for step in network.steps
        if not isinstance(step, Unary | Greatest)
        for number in step.inputs
    )
    if pairs > _MOST:
        raise NotCovered(f"--exact is of tiny networks, of {_MOST} products; this one has {pairs}. Leave it out.")
    steps: list[Linear | Rectifier] = []
    for place, step in enumerate(network.steps):
        if isinstance(step, Unary) and step.curve == Bent():
            steps.append(Rectifier(step.input, step.output, place))
        elif isinstance(step, Unary | Greatest):
            raise NotCovered("--exact follows affine operators and Relu.")
        else:
            steps.append(_linear(step, network))
    return ExactNetwork(tuple(steps), network.output, arithmetic, suits(network))


def _linear(step: Affine, network: Network) -> Linear:
    if isinstance(step, Entrywise):
        factors = [part.factor for part in step.parts if part.factor is not None]
        if step.products > 2 or any((np.abs(factor) != 1).any() for factor in factors):
            raise NotCovered("--exact follows sums, and factors of matrices and convolutions.")
    found = []
    for place, number in enumerate(step.inputs):
        values = [np.zeros((network.sizes[number], network.sizes[own])) for own in step.inputs]
        values[place] = np.eye(network.sizes[number])
        found.append(fractions(step.forward(values).T))
    products = step.products + (network.room.get(step.output, 0) if step.products else 0)
    size = network.sizes[step.output]
    bias, bias_size = (np.zeros(size) if own is None else own for own in (step.bias, step.bias_size))
    return Linear(step.inputs, step.output, tuple(found), fractions(bias), fractions(bias_size), products)


@dataclass(eq=False)
class ExactBoxes:
    """lower, upper [n] and rho [n] by tensor, of one region; its rule."""

    network: ExactNetwork
    rule: int
    lower: dict[int, Array]
    upper: dict[int, Array]
    rho: dict[int, Array]

    def size(self, tensor: int) -> Array:
        return np.maximum(np.abs(self.lower[tensor]), np.abs(self.upper[tensor]))


def exact_boxes(network: ExactNetwork, lower: Array, upper: Array, rule: int) -> ExactBoxes:
    """Of a region with these float64 ends [n]. Raises NotCovered where a value is beyond the arithmetic's numbers."""
    boxes = ExactBoxes(network, rule, {INPUT: fractions(lower)}, {INPUT: fractions(upper)}, {})
    form = _first_form(boxes) if network.formed and rule == 2 else None
    for step in network.steps:
        if isinstance(step, Rectifier):
            if form is not None:
                _tighten(boxes, step.input, form)
            if rule == 2:
                _refine(boxes, step.input)
            off = 2 * Fraction(network.arithmetic.smallest)
            boxes.lower[step.output] = positive(boxes.lower[step.input]) - off
            boxes.upper[step.output] = positive(boxes.upper[step.input]) + off
        else:
            sizes = [boxes.size(number) for number in step.inputs]
            boxes.rho[step.output] = rho = network.rho(step, sizes)
            low, high = step.bias - rho, step.bias + rho
            for number, w in zip(step.inputs, step.weights, strict=True):
                low = low + positive(w) @ boxes.lower[number] + negative(w) @ boxes.upper[number]
                high = high + positive(w) @ boxes.upper[number] + negative(w) @ boxes.lower[number]
            boxes.lower[step.output], boxes.upper[step.output] = low, high
            every = sum(np.abs(w) @ m for w, m in zip(step.weights, sizes, strict=True)) + step.bias_size + rho
            if (every > Fraction(network.arithmetic.largest)).any():
                raise NotCovered("a value may be beyond the largest number of the arithmetic.")
        form = None if form is None else _passed(boxes, step, form)
    return boxes


Form = tuple[Array, Array]  # terms [1 + n, k], the centre first, over (x - middle) / radius; what is left [k]


def _first_form(boxes: ExactBoxes) -> Form:
    lower, upper = boxes.lower[INPUT], boxes.upper[INPUT]
    terms = np.full((1 + len(lower), len(lower)), _ZERO)
    terms[0] = (lower + upper) / 2
    terms[1 + np.arange(len(lower)), np.arange(len(lower))] = (upper - lower) / 2
    return terms, np.full(len(lower), _ZERO)


def _tighten(boxes: ExactBoxes, tensor: int, form: Form) -> None:
    reach = np.abs(form[0][1:]).sum(0) + form[1]
    boxes.lower[tensor] = np.maximum(boxes.lower[tensor], form[0][0] - reach)
    boxes.upper[tensor] = np.minimum(boxes.upper[tensor], form[0][0] + reach)


def _passed(boxes: ExactBoxes, step: Linear | Rectifier, form: Form) -> Form:
    """Of a step's output: a Relu as the chord and what is below it."""
    terms, rest = form
    if isinstance(step, Linear):
        (weights,) = step.weights
        terms, rest = terms @ weights.T, np.abs(weights) @ rest + boxes.rho[step.output]
        terms[0] += step.bias
        return terms, rest
    lower, upper = boxes.lower[step.input], boxes.upper[step.input]
    slope, half = np.full(len(lower), _ZERO), np.full(len(lower), _ZERO)
    for entry, (l, u) in enumerate(zip(lower, upper, strict=True)):
        slope[entry] = _ONE if l >= 0 else _ZERO if u <= 0 else u / (u - l)
        half[entry] = -slope[entry] * l / 2 if l < 0 < u else _ZERO
    terms = terms * slope
    terms[0] += half
    return terms, rest * slope + half + 2 * Fraction(boxes.network.arithmetic.smallest)


def _refine(boxes: ExactBoxes, tensor: int) -> None:
    lower, upper = boxes.lower[tensor], boxes.upper[tensor]
    for entry in np.flatnonzero((lower < 0) & (upper > 0)):
        row = np.full(len(lower), _ZERO)
        row[entry] = _ONE
        low, high = (exact_bound(boxes, {tensor: sign * row}, _ZERO) for sign in (1, -1))
        lower[entry], upper[entry] = max(lower[entry], low), min(upper[entry], -high)


@dataclass(frozen=True, eq=False)
class Bend:
    """Of a leaf: ends of split tensors, slopes by place (0 to 255, -1 the default), pulls by place, and their lift."""

    lower: Mapping[int, Array]
    upper: Mapping[int, Array]
    slopes: Mapping[int, Array]
    pulls: Mapping[int, Array]
    lift: Fraction = _ZERO


PLAIN = Bend({}, {}, {}, {})


def exact_form(
    boxes: ExactBoxes, rows: Mapping[int, Array], offset: Fraction, bend: Bend, closed: bool
) -> tuple[Array, Fraction]:
    """A row carried back to the input: its factors [n] there, and a number, below the row everywhere."""
    waiting = dict(rows)
    total = offset if closed else offset + bend.lift
    for step in reversed(boxes.network.steps):
        row = waiting.pop(step.output, None)
        if isinstance(step, Rectifier):
            pull = None if closed else bend.pulls.get(step.place)
            if row is None and pull is None:
                continue
            if row is not None and closed:
                total += least(row, boxes.lower[step.output], boxes.upper[step.output])
                continue
            found = np.full(len(boxes.lower[step.input]), _ZERO)
            if row is not None:
                found, constant = _through(boxes, step, row, bend)
                total += constant
            _give(waiting, step.input, found if pull is None else found + pull)
        elif row is not None:
            total += row @ step.bias - np.abs(row) @ boxes.rho[step.output]
            for number, w in zip(step.inputs, step.weights, strict=True):
                _give(waiting, number, row @ w)
    return waiting.get(INPUT, np.full(len(boxes.lower[INPUT]), _ZERO)), total


def _give(waiting: dict[int, Array], tensor: int, row: Array) -> None:
    waiting[tensor] = waiting[tensor] + row if tensor in waiting else row


def _through(boxes: ExactBoxes, step: Rectifier, row: Array, bend: Bend) -> tuple[Array, Fraction]:
    lower, upper = (
        bend.lower.get(step.input, boxes.lower[step.input]),
        bend.upper.get(step.input, boxes.upper[step.input]),
    )
    chosen = bend.slopes.get(step.place)
    found, total = np.full(len(row), _ZERO), _ZERO
    for entry, (a, l, u) in enumerate(zip(row, lower, upper, strict=True)):
        total -= abs(a) * 2 * Fraction(boxes.network.arithmetic.smallest)
        if l >= 0 or u <= 0:
            found[entry] = a if l >= 0 else _ZERO
        elif a >= 0:
            given = -1 if chosen is None else int(chosen[entry])
            slope = Fraction(given, STEPS) if given >= 0 else _ONE if u > -l else _ZERO
            found[entry] = a * slope
        else:
            found[entry] = a * u / (u - l)
            total -= a * u / (u - l) * l
    return found, total


def least(row: Array, lower: Array, upper: Array) -> Fraction:
    return Fraction(positive(row) @ lower + negative(row) @ upper)


def exact_bound(
    boxes: ExactBoxes, rows: Mapping[int, Array], offset: Fraction, bend: Bend = PLAIN, *, closed: bool = False
) -> Fraction:
    """A lower bound of a row over the region."""
    row, total = exact_form(boxes, rows, offset, bend, closed)
    return total + least(row, boxes.lower[INPUT], boxes.upper[INPUT])
