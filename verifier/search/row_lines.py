"""DeepPoly's lower lines of specification rows over boxes of inputs: row(x) >= centre + A · (x - middle)."""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds import Box
from ..bounds.backward import carried
from ..bounds.dense import dense_layers
from ..bounds.errors import Errors
from ..bounds.interval import nonlinearities, piecewise_linear
from ..bounds.rows import rows_of
from ..bounds.substitution import input_anchor, relax
from ..graph import Graph
from ..ops import Params
from ..ops.dense import DenseLayer, dense_network
from ..ops.forms import Form, whole
from .axes import gains
from .intermediate import unstable_preactivations
from .memory import rows_at_once
from .rounding import largest_paths, margins_of, rounding_margins


class RowLines(NamedTuple):
    """slopes [D, C, M, n], centre [D, C, M], middle and radius [D, n], lowest [D, C, M]; needed [D]: what a bound must
    exceed to prove anything, for rounding; gain [D, C, M, n] as of `axes`. All float64, for M rows of each of C
    clauses.
    """

    slopes: Tensor
    centre: Tensor
    middle: Tensor
    radius: Tensor
    lowest: Tensor
    needed: Tensor
    gain: Tensor | None = None

    @property
    def best(self) -> Tensor:
        """The best bound [D, C] that a single row gives."""
        return self.lowest.amax(2)

    @property
    def refuted(self) -> Tensor:
        """[D, C]; NaN refutes nothing."""
        return (self.lowest > self.needed[:, None, None]).any(2)

    def corner(self, box: Box, alive: Tensor) -> Tensor:
        """Where the best row of the clause with the lowest bound is least [D, n]."""
        clause = self.best.where(alive, self.best.new_tensor(torch.inf)).argmin(1)
        every = torch.arange(len(clause))
        row = self.lowest[every, clause].argmax(1)
        return torch.where(self.slopes[every, clause, row] > 0, box.lower, box.upper)

    def prospect(self, lower: Tensor, upper: Tensor) -> "Prospect":
        """What to expect of splits of the boxes [D, n] that are left of these."""
        row = self.lowest.argmax(2)[:, :, None, None].expand(-1, -1, 1, self.slopes.shape[3])
        slopes = self.slopes.gather(2, row).squeeze(2).abs()
        slopes = slopes + 0.05 * slopes.amax(2, keepdim=True) + 1e-30  # a flat line says nothing of the relaxation
        score = slopes * self.radius.unsqueeze(1)
        if self.gain is None:
            return Prospect(score, torch.zeros_like(score), torch.full_like(self.best, torch.inf))
        left = ((upper - lower) / (2 * self.radius)).nan_to_num(0.0).unsqueeze(1)
        gain = self.gain.gather(2, row).squeeze(2) * left
        return Prospect(gain + _MOVED * score * left, gain, self.best)


class Prospect(NamedTuple):
    """score [D, C, n]: how much splits of inputs help the best rows of clauses. gain [D, C, n]: what halving an input
    takes from their slack, as far as known; expected [D, C]: the bounds, infinite where nothing is known."""

    score: Tensor
    gain: Tensor
    expected: Tensor

    def take(self, index: Tensor) -> "Prospect":
        return Prospect(*(part[index] for part in self))

    def halved(self, axis: Tensor) -> "Prospect":
        """Of both halves, each box cut across its axis [D, 1]."""
        own = axis.unsqueeze(1).expand(-1, self.score.shape[1], 1)
        gained = self.gain.gather(2, own)
        return Prospect(
            self.score.scatter(2, own, self.score.gather(2, own) / 2),
            self.gain.scatter(2, own, gained / 2),
            self.expected + _FORETOLD * gained.squeeze(2),
        )


Stop = Callable[[], bool]

_MOVED = 0.01  # of a row's own movement, beside the gain: it raises one of the halves only, and `cut` takes that away
_FORETOLD = 2.0  # bounds rise by more than the gain, which is of first order and leaves out what layers do together
_DIRECTIONS = 64  # different rows that are bounded for every box, whether it asks for them or not


class RowBounder:
    """Lines of the rows [G, C, M, K], offset [G, C, M], for boxes within those of these groups [G, n]: by the compiled
    program where the network is dense and the rows are few, apart from their offsets.

    neurons: how many there are, whose signs are worth to be kept with a box.
    """

    def __init__(
        self, graph: Graph, params: Params, box: Box, rows: Tensor, offset: Tensor, *, memory: int, stop: Stop
    ) -> None:
        """memory, stop: as in `unstable_preactivations`."""
        self._memory, self._stop = memory, stop
        self._graph, self._params, self._rows, self._offset = graph, params, rows, offset
        directions, index = rows.flatten(0, 2).unique(dim=0, return_inverse=True)
        layers = dense_layers(graph, params) if len(directions) <= _DIRECTIONS else None
        self._program = None if layers is None else dense_network(layers[:-1])
        self._names = {name: prod(graph.shapes[name]) for name in nonlinearities(graph)}
        self.neurons = sum(self._names.values())
        if layers is not None and self._program is not None:
            self._index = index.reshape(rows.shape[:3])
            self._paths = largest_paths(graph, params, Box(*(end.reshape(-1, *graph.input_shape) for end in box)))
            self._last = DenseLayer(directions @ layers[-1].weight, directions @ layers[-1].bias)

    def __call__(self, box: Box, group: Tensor, signs: Tensor) -> tuple[RowLines, Tensor]:
        """For boxes [D, n], the number of each one's group [D] and its known signs [D, neurons]: also new signs."""
        rows, offset = self._rows[group], self._offset[group]
        if self._program is None:
            known = dict(zip(self._names, signs.split(list(self._names.values()), 1), strict=True))
            few = rows.shape[1] * rows.shape[2] <= _DIRECTIONS
            errors = self._errors(box) if few else None
            lines, pre = row_lines(
                self._graph, self._params, box, rows, offset,
                memory=self._memory, stop=self._stop, signs=known, errors=errors,
            )  # fmt: skip
            if few:
                lines = self._looked_at(lines, box, rows, offset, pre, errors)
            found_signs = [(pre[name].lower >= 0).char() - (pre[name].upper <= 0).char() for name in self._names]
            return lines, torch.cat([signs[:, :0], *(sign.flatten(1) for sign in found_signs)], 1)
        found = self._program.bounds(self._last, *box, signs)
        middle, radius = (box.lower + box.upper) / 2, (box.upper - box.lower) / 2
        which = self._index[group].flatten(1)
        lowest = found.lower.gather(1, which).reshape(offset.shape) + offset
        slopes = found.coef.gather(1, which.unsqueeze(2).expand(-1, -1, middle.shape[1])).reshape(*lowest.shape, -1)
        centre = lowest + (slopes.abs() * radius[:, None, None]).sum(3)
        needed = margins_of(found.largest, self._paths[group]) * _size(rows, offset)
        return RowLines(slopes, centre, middle, radius, lowest, needed), found.signs

    def _errors(self, box: Box) -> Errors | None:
        """Where the compiled program bounds the neurons."""
        program = rows_of(self._graph, self._params, self._graph.input) if piecewise_linear(self._graph) else None
        if program is None:
            return None
        shaped = Box(*(end.reshape(-1, *self._graph.input_shape) for end in box))
        return Errors(self._graph, self._params, shaped, program.unit)

    def _looked_at(
        self, lines: RowLines, box: Box, rows: Tensor, offset: Tensor, pre: dict[str, Box], errors: Errors | None
    ) -> RowLines:
        """With gains; and with what rounding may have added, where that is known."""
        graph, flat = self._graph, rows.flatten(1, 2)
        own = {} if errors is None else {n: errors.of_lines(n, line) for n, line in relax(graph, pre).items()}
        gain, erring = gains(graph, self._params, box, pre, flat, own)
        lines = lines._replace(gain=gain.unflatten(1, rows.shape[1:3]))
        if errors is None:
            return lines
        ends = torch.maximum(box.lower.abs(), box.upper.abs()) + lines.radius
        erring = erring + (flat.abs() @ errors.sizes[graph.output].flatten(1).unsqueeze(2)).squeeze(2)
        erring = erring + offset.flatten(1).abs() + (lines.slopes.flatten(1, 2).abs() @ ends.unsqueeze(2)).squeeze(2)
        return lines._replace(needed=errors.unit * erring.amax(1))


def row_lines(
    graph: Graph,
    params: Params,
    box: Box,
    rows: Tensor,
    offset: Tensor,
    *,
    memory: int,
    stop: Stop = lambda: False,
    signs: Mapping[str, Tensor] | None = None,
    errors: Errors | None = None,
) -> tuple[RowLines, dict[str, Box]]:
    """box [D, n], rows [D, C, M, K], offset [D, C, M]: the lines, and the boxes of the nonlinearities' inputs.

    memory, stop, signs, errors: as in `unstable_preactivations`.
    """
    count, clauses, most, _ = rows.shape
    shaped = Box(*(end.reshape(-1, *graph.input_shape) for end in box))
    base = input_anchor(graph, params, shaped)
    middle, radius = base.centres[graph.input], base.boxed[graph.input]
    pre = unstable_preactivations(graph, params, base, memory=memory, stop=stop, signs=signs, errors=errors)
    lines, parts = relax(graph, pre), []
    for part in rows.flatten(1, 2).split(rows_at_once(graph, count, memory), dim=1):
        value, forms = carried(
            graph, params, graph.output, Form(part.unsqueeze(1)), lines, base.centres, base.radii, fused=False
        )  # fmt: skip
        coef = whole(forms[graph.input], graph.input_shape).coef
        parts.append((value.expand(count, -1), coef.expand(count, -1, -1, -1)))
    value, slopes = torch.cat([own for own, _ in parts], 1), torch.cat([own for _, own in parts], 2)
    slopes = slopes.reshape(count, clauses, most, -1)
    centre = (value + offset.flatten(1)).reshape(count, clauses, most)
    middle, radius = middle.flatten(1), radius.flatten(1)
    lowest = centre - (slopes.abs() * radius[:, None, None]).sum(3)
    needed = rounding_margins(graph, params, shaped, pre) * _size(rows, offset)
    return RowLines(slopes, centre, middle, radius, lowest, needed), pre


def _size(rows: Tensor, offset: Tensor) -> Tensor:
    """What margins for rounding grow with, of the rows' own factors: [D]."""
    return (rows.abs().sum(3) + offset.abs()).flatten(1).amax(1).clamp(min=1)
