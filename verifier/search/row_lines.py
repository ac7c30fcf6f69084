"""DeepPoly's lower lines of specification rows over boxes of inputs: row(x) >= centre + A · (x - middle)."""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds import Box
from ..bounds.backward import carried
from ..bounds.dense import dense_layers
from ..bounds.errors import Errors, by_intervals
from ..bounds.interval import nonlinearities
from ..bounds.substitution import input_anchor, relax
from ..graph import Graph
from ..ops import Params
from ..ops.dense import DenseLayer, dense_network
from ..ops.forms import Form, whole
from .axes import gains
from .intermediate import unstable_preactivations
from .memory import rows_at_once


class RowLines(NamedTuple):
    """slopes [D, C, M, n], centre [D, C, M], middle and radius [D, n], lowest [D, C, M]; needed [D, C, M]: what a bound
    must exceed to prove anything, for rounding; gain [D, C, M, n] as of `axes`. All float64, for M rows of each of C
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
        return (self.lowest > self.needed).any(2)

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
            self._error, self._needed = _everywhere(graph, params, box, rows, offset)
            self._last = DenseLayer(directions @ layers[-1].weight, directions @ layers[-1].bias)

    def __call__(self, box: Box, group: Tensor, signs: Tensor) -> tuple[RowLines, Tensor]:
        """For boxes [D, n], the number of each one's group [D] and its known signs [D, neurons]: also new signs."""
        rows, offset = self._rows[group], self._offset[group]
        if self._program is None:
            known = dict(zip(self._names, signs.split(list(self._names.values()), 1), strict=True))
            lines, pre, errors = row_lines(
                self._graph, self._params, box, rows, offset, memory=self._memory, stop=self._stop, signs=known
            )
            if rows.shape[1] * rows.shape[2] <= _DIRECTIONS:
                lines = self._looked_at(lines, box, rows, offset, pre, errors)
            found_signs = [(pre[name].lower >= 0).char() - (pre[name].upper <= 0).char() for name in self._names]
            return lines, torch.cat([signs[:, :0], *(sign.flatten(1) for sign in found_signs)], 1)
        found = self._program.bounds(self._last, *box, self._error[group], signs)
        middle, radius = (box.lower + box.upper) / 2, (box.upper - box.lower) / 2
        which = self._index[group].flatten(1)
        lowest = found.lower.gather(1, which).reshape(offset.shape) + offset
        slopes = found.coef.gather(1, which.unsqueeze(2).expand(-1, -1, middle.shape[1])).reshape(*lowest.shape, -1)
        centre = lowest + (slopes.abs() * radius[:, None, None]).sum(3)
        return RowLines(slopes, centre, middle, radius, lowest, self._needed[group]), found.signs

    def _looked_at(
        self, lines: RowLines, box: Box, rows: Tensor, offset: Tensor, pre: dict[str, Box], errors: Errors
    ) -> RowLines:
        """With gains, and with the errors of the coefficients that there are."""
        gain, erring = gains(self._graph, self._params, box, pre, rows.flatten(1, 2), errors.lining)
        closer = errors.met(rows.flatten(1, 2), offset.flatten(1), {}) + erring
        shape = rows.shape[1:3]
        return lines._replace(
            gain=gain.unflatten(1, shape), needed=torch.fmin(lines.needed, closer.unflatten(1, shape))
        )


def _everywhere(graph: Graph, params: Params, box: Box, rows: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Errors [G, neurons] of the neurons' bounds in any box within those of the groups [G, n], and of the rows'."""
    shaped = Box(*(end.reshape(-1, *graph.input_shape) for end in box))
    errors = by_intervals(graph, params, input_anchor(graph, params, shaped))
    needed = errors.rows(rows.flatten(1, 2), offset.flatten(1))
    neurons = [errors.whole[name].flatten(1) for name in nonlinearities(graph)]
    return torch.cat(neurons, 1), needed.unflatten(1, rows.shape[1:3])


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
) -> tuple[RowLines, dict[str, Box], Errors]:
    """box [D, n], rows [D, C, M, K], offset [D, C, M]: the lines, the boxes of the nonlinearities' inputs, and what may
    have rounded.

    memory, stop, signs: as in `unstable_preactivations`.
    """
    count, clauses, most, _ = rows.shape
    shaped = Box(*(end.reshape(-1, *graph.input_shape) for end in box))
    base = input_anchor(graph, params, shaped)
    middle, radius = base.centres[graph.input], base.boxed[graph.input]
    errors = Errors(graph, params, base)
    pre = unstable_preactivations(graph, params, base, errors, memory=memory, stop=stop, signs=signs)
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
    needed = errors.rows(rows.flatten(1, 2), offset.flatten(1)).unflatten(1, (clauses, most))
    return RowLines(slopes, centre, middle, radius, lowest, needed), pre, errors
