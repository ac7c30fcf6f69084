"""Where back-substitution ends, the lines it goes through, and the specification's rows it starts from."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Box, Lines, Params
from ..ops.forms import Form
from .backward import lower_bound
from .ball import CutBall, Extent, changed
from .interval import Intervals, affine_values, entry_value, nonlinearities
from .specification import Spec


class Anchor(NamedTuple):
    """What back-substitution ends on: boxes of the values affine in the input, their centres, and the radius of the
    entry value or the ball of the input."""

    boxes: dict[str, Box]
    centres: dict[str, Tensor]
    radii: dict[str, Extent]

    @property
    def boxed(self) -> dict[str, Tensor]:
        """The radii of boxes; none where back-substitution ends on a ball, which no compiled program knows."""
        return {name: extent for name, extent in self.radii.items() if isinstance(extent, Tensor)}

    @property
    def ball(self) -> CutBall | None:
        """Where it ends on one."""
        return next((extent for extent in self.radii.values() if isinstance(extent, CutBall)), None)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Anchor":
        """The same with each tensor changed."""
        return Anchor(
            {name: Box(*map(change, box)) for name, box in self.boxes.items()},
            {name: change(centre) for name, centre in self.centres.items()},
            {name: changed(extent, change) for name, extent in self.radii.items()},
        )


def anchor(graph: Graph, params: Params, box: Box, ball: CutBall | None = None) -> Anchor:
    """For inputs in the box [B, *v], or in the part of it that the ball is cut to."""
    known = Intervals(graph, params, box, affine_values(graph))
    if ball is None:
        return anchor_at(graph, known)
    boxes = {name: known.box(name) for name in affine_values(graph)}
    return Anchor(boxes, centres_at(graph, params, ball.centre), {graph.input: ball})


def centres_at(graph: Graph, params: Params, point: Tensor) -> dict[str, Tensor]:
    """The values affine in the input at a point [B, *v]."""
    values, affine = {graph.input: point}, affine_values(graph)
    for node in graph.nodes:
        if node.output in affine:
            values[node.output] = OPERATORS[node.op].forward(node, params, *(values[name] for name in node.inputs))
    return values


def input_anchor(graph: Graph, params: Params, box: Box) -> Anchor:
    """As `anchor`, but ending on the input itself, so that where a bound is taken is a point of the input."""
    known = Intervals(graph, params, box, affine_values(graph))
    base = anchor_at(graph, known)
    return base._replace(radii={graph.input: known.ball(graph.input).radius})


def anchor_at(graph: Graph, known: Intervals) -> Anchor:
    """The anchor from intervals of all values affine in the input, at least."""
    affine, entry = affine_values(graph), entry_value(graph)
    return Anchor(
        {name: known.box(name) for name in affine},
        {name: known.ball(name).centre for name in affine},
        {entry: known.ball(entry).radius},
    )


def relax(graph: Graph, pre: Mapping[str, Box], slopes: Mapping[str, Tensor] | None = None) -> dict[str, Lines]:
    """Lines of every nonlinearity whose input box is known, by name of that input."""
    return {
        name: operator.lines(pre[name], slopes.get(name) if slopes else None)
        for name, operator in nonlinearities(graph).items()
        if name in pre
    }


def spec_bound(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    lines: Mapping[str, Lines],
    multipliers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Lower bounds [B, M] of the specification rows by one back-substitution."""
    bound = lower_bound(graph, params, graph.output, spec_rows(spec), lines, base.centres, base.radii, multipliers)
    return bound + spec.offset


def spec_rows(spec: Spec) -> Form:
    """The rows as forms over the network's output."""
    return Form(spec.rows.unsqueeze(1))
