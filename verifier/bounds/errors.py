"""A running error analysis of bounds: what rounding may have added to them.

Back-substitution carries a row A over v = W a + b to the row A W over a, and that over a = f(z) to a row over z by
lines of f. What rounds on the way is a part of the terms' magnitudes (a sum of n products errs by at most n·u times the
sum of their magnitudes, Higham 2002, section 3.1):

    e(x) = u n |x|                                                         the input: A x + |A| radius
    e(v) = |W| e(a) + u n (|W| |a| + |b|)                                  v = W a + b
    e(a) = L e(z) + u n (L |z| + |start|),    L >= every slope of a line   a = f(z)

An error passes f with its steepest slope, whatever the size of f: a Sigmoid's is 1, its input's error may be larger.
|a|, |z| come from the boxes found so far. e bounds what rounds in any back-substitution, in interval arithmetic and in
a forward pass, whatever slopes were chosen: a row's error is at most |row| e (`rows`). Through many layers e grows with
the product of all weights; where the coefficients that met the lines are known, they stand in for all that lies above
(`met`).
"""

from collections.abc import Mapping, Sequence
from copy import copy
from math import inf, prod

import numpy as np
import torch
from torch import Tensor, maximum

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Nonlinear, Params
from .interval import Intervals, below_nonlinear, nonlinearities
from .substitution import Anchor
from .zonotope import Zonotope

_SLACK = 1.01  # this analysis rounds too
_ROOM = 12  # operations on a value beside the sums
_BALL = 4  # a dual norm costs a few times what a radius does
_BENT = 32  # operations on an entry of a zonotope, at a nonlinearity


class Errors:
    """How far rounding may carry bounds for the inputs of an anchor; grown node by node (`reach`).

    By value name, each [B, *v]: sizes, the largest magnitudes of what is summed to a value; own, what rounds below it
    down to the last nonlinearity; whole, what rounds all the way down. lining, by name of a nonlinearity's input: what
    rounds at its lines and below, for a coefficient of one that meets them.
    """

    def __init__(
        self,
        graph: Graph,
        params: Params,
        base: Anchor,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        """dtype: of the bounds' arithmetic."""
        self._graph, self._params = graph, params
        self._unit, self._least = _SLACK * torch.finfo(dtype).eps / 2, torch.finfo(dtype).tiny
        self._beyond = _beyond(graph)
        reach, terms = magnitude(base.boxes[graph.input]), prod(graph.input_shape) + _ROOM
        if base.ball is not None:
            reach, terms = reach + base.ball.centre.abs() + base.ball.radius, _BALL * terms
        first = self._unit * terms * reach + self._least
        self.sizes, self.own, self.whole = {graph.input: reach}, {graph.input: first}, {graph.input: first}
        self.lining: dict[str, Tensor] = {}
        self._bends: set[str] = set()  # outputs of nonlinearities
        self._lost = self._underflow(reach, terms)  # of every row, whatever its size

    def reach(self, node: Node, box: Box | None) -> None:
        """Goes on to a node's output; box [B, *v] of a nonlinearity's input, which holds whatever rounded."""
        operator = OPERATORS[node.op]
        if isinstance(operator, Affine):
            self._affine(node, operator)
        elif box is not None:
            self._bent(node, operator, box)

    def _affine(self, node: Node, operator: Affine) -> None:
        # right after nonlinearities nothing has rounded since, before the first of them all that has is its own
        after = self._bends.issuperset(node.inputs)
        before = all(self.own[name] is self.whole[name] for name in node.inputs)
        kinds = (self.sizes, self.whole) if after or before else (self.sizes, self.whole, self.own)
        parts = [torch.stack([part[name] for part in kinds]) for name in node.inputs]
        spread = operator.spread(node, self._params, *(part.flatten(0, 1) for part in parts))
        size, whole, *rest = spread.unflatten(0, parts[0].shape[:2])
        shapes, out = tuple(self._graph.shapes[name] for name in node.inputs), self._graph.shapes[node.output]
        terms = operator.terms(node, self._params, shapes, out) + _ROOM
        self._lost = self._lost + sum(self._underflow(self.sizes[name], terms) for name in set(node.inputs))
        local = (self._unit * terms + self._graph.rounding) * size + self._least
        offset = operator.offset(node, self._params, shapes)
        if offset is not None:
            size = size + offset.abs()
            local = local + (self._summed(out) + self._graph.rounding) * offset.abs()
        local = local + self._lost.reshape(-1, *(1,) * len(out))
        self.sizes[node.output] = size.masked_fill(size > self._beyond, inf)
        self.whole[node.output] = whole + local
        if before:
            self.own[node.output] = self.whole[node.output]
        else:
            self.own[node.output] = local if after else rest[0] + local

    def _bent(self, node: Node, operator: Nonlinear, box: Box) -> None:
        name = node.inputs[0]
        steepest, reached = operator.steepest(box), magnitude(operator.interval(node, self._params, box))
        if operator.kinked:
            start = operator.lines(box, None).upper_start.squeeze(1).abs()
        else:
            start = reached + steepest * magnitude(box)
        local = self._unit * _ROOM * (steepest * self.sizes[name] + reached)
        local = local + self._summed(self._graph.shapes[name]) * start + self._least
        self.lining[name] = steepest * self.own[name] + local
        self._lost = self._lost + self._underflow(self.sizes[name], _ROOM)
        self.sizes[node.output] = reached.masked_fill(reached > self._beyond, inf)
        self.own[node.output] = torch.zeros_like(reached)
        self._bends.add(node.output)
        self.whole[node.output] = steepest * self.whole[name] + local

    def _underflow(self, size: Tensor, terms: int) -> Tensor:
        """Of coefficients of a value: each may lose so much of what it multiplies."""
        return self._least * terms * size.flatten(1).sum(1)

    def _summed(self, shape: tuple[int, ...]) -> float:
        """For a constant of every entry: all are added to the row's, and this to those of other values."""
        return self._unit * (prod(shape) + len(self._graph.nodes) + _ROOM)

    def of(self, index: Tensor) -> "Errors":
        """Of some of the boxes."""
        found = copy(self)
        for kind in ("sizes", "own", "whole", "lining"):
            setattr(found, kind, {name: part[index] for name, part in getattr(self, kind).items()})
        found._lost = self._lost[index]
        return found

    def widened(self, name: str, box: Box) -> Box:
        """What was found from the boxes of the last nonlinearities' outputs, by as much as it may have rounded."""
        return Box(box.lower - self.own[name], box.upper + self.own[name])

    def rows(self, rows: Tensor, offset: Tensor) -> Tensor:
        """What bounds of rows [B, M, K] over the output, offset [B, M], must exceed to prove anything: [B, M]."""
        return self._above(rows, offset, self.whole[self._graph.output])

    def met(
        self,
        rows: Tensor,
        offset: Tensor,
        met: Mapping[str, Tensor],
    ) -> Tensor:
        """The same of one back-substitution: met [B, M, *v], the coefficients that met the lines, by name of the
        nonlinearity's input."""
        found = self._above(rows, offset, self.own[self._graph.output])
        for name, coef in met.items():
            found = found + _SLACK * (coef.abs().flatten(2) @ self.lining[name].flatten(1).unsqueeze(2)).squeeze(2)
        return found

    def multiplied(self, multipliers: Mapping[str, Tensor], *, met: bool) -> Tensor:
        """What multipliers [B, M, *v] of splits add to `rows`, or to `met`: [B, M]."""
        found = torch.zeros(())
        for name, multiplier in multipliers.items():
            error = (self.own if met else self.whole)[name]
            error = error + self._summed(self._graph.shapes[name]) * self.sizes[name]
            found = found + (multiplier.abs().flatten(2) @ error.flatten(1).unsqueeze(2)).squeeze(2)
        return found

    def _above(self, rows: Tensor, offset: Tensor, error: Tensor) -> Tensor:
        unit = self._summed((rows.shape[2],))
        each = error.flatten(1) + unit * self.sizes[self._graph.output].flatten(1)
        return (rows.abs() @ each.unsqueeze(2)).squeeze(2) + unit * offset.abs() + self._lost.unsqueeze(1)

    def beyond(self, node: Node, before: Sequence[Zonotope], after: Zonotope, box: Box | None) -> Zonotope:
        """The zonotope of a node's output with what rounding may have left out; box as in `reach`."""
        operator, reached = OPERATORS[node.op], [_reached(each) for each in before]
        count = after.generators.shape[1]
        if isinstance(operator, Affine):
            shapes, out = tuple(self._graph.shapes[name] for name in node.inputs), self._graph.shapes[node.output]
            size = summed(self._graph, self._params, node, operator, reached)
            terms = operator.terms(node, self._params, shapes, out) + _ROOM
        elif box is not None:
            size, terms = operator.steepest(box) * (reached[0] + magnitude(box)) + _reached(after), _BENT
        error = (self._unit * (terms + count) + self._graph.rounding) * size + self._least
        return after._replace(deviation=after.deviation + error)


def analysed(
    graph: Graph,
    params: Params,
    base: Anchor,
    pre: Mapping[str, Box],
    *,
    sound: bool = True,
) -> Errors:
    """The analysis up to the output, for boxes pre [B, *v] of the nonlinearities' inputs. Not `sound`: these are
    interval images as they were computed, which may have rounded themselves."""
    errors = Errors(graph, params, base)
    kinds = nonlinearities(graph)
    for node in graph.nodes:
        name = node.inputs[0]
        known = pre.get(name) if name in kinds else None
        if known is not None and not sound:
            known = Box(known.lower - errors.whole[name], known.upper + errors.whole[name])
        errors.reach(node, known)
    return errors


def summed(graph: Graph, params: Params, node: Node, operator: Affine, sizes: Sequence[Tensor]) -> Tensor:
    """|W| m + |b| for magnitudes m [B, *v] of a node's inputs: of all that its output is the sum of."""
    reached = operator.spread(node, params, *sizes)
    offset = operator.offset(node, params, tuple(graph.shapes[name] for name in node.inputs))
    return reached if offset is None else reached + offset.abs()


def by_intervals(graph: Graph, params: Params, base: Anchor) -> Errors:
    """The analysis over interval images, the least that is known of the neurons."""
    known = Intervals(graph, params, base.boxes[graph.input], below_nonlinear(graph))
    return analysed(graph, params, base, {name: known.box(name) for name in nonlinearities(graph)}, sound=False)


def in_range(graph: Graph, params: Params, box: Box) -> bool:
    """Whether every value over the boxes [B, *v] is a number of the network's own type."""
    known, most = Intervals(graph, params, box), _beyond(graph)
    return all(bool((magnitude(known.box(name)) < most).all()) for name in graph.shapes)


def _beyond(graph: Graph) -> float:
    """The size from which on the network's own numbers are infinite; nothing is proved of these."""
    single = graph.reading is not None and graph.reading.dtype == np.float32
    return float(np.finfo(np.float32).max) if single else inf


def magnitude(box: Box) -> Tensor:
    return maximum(box.lower.abs(), box.upper.abs())


def _reached(value: Zonotope) -> Tensor:
    return value.centre.abs() + value.generators.abs().sum(1) + value.deviation
