"""Where back-substitution ends, the lines it goes through, and the specification's rows it starts from."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from ..graph import Graph
from ..ops import Box, Lines, Params
from ..ops.forms import Form
from .backward import lower_bound
from .interval import Intervals, affine_values, entry_value, nonlinearities
from .specification import Spec


class Anchor(NamedTuple):
    """What back-substitution ends on: boxes of the values affine in the input, their centres, and the radius of the
    entry value."""

    boxes: dict[str, Box]
    centres: dict[str, Tensor]
    radii: dict[str, Tensor]

    def each(self, change: Callable[[Tensor], Tensor]) -> "Anchor":
        """The same with each tensor changed."""
        return Anchor(
            {name: Box(*map(change, box)) for name, box in self.boxes.items()},
            {name: change(centre) for name, centre in self.centres.items()},
            {name: change(radius) for name, radius in self.radii.items()},
        )


def anchor(graph: Graph, params: Params, box: Box) -> Anchor:
    """For inputs in the box [B, *v]."""
    return anchor_at(graph, Intervals(graph, params, box, affine_values(graph)))


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
) -> Tensor:
    """Lower bounds [B, M] of the specification rows by one back-substitution."""
    bound = lower_bound(graph, params, graph.output, spec_rows(spec), lines, base.centres, base.radii)
    return bound + spec.offset


def spec_rows(spec: Spec) -> Form:
    """The rows as forms over the network's output."""
    return Form(spec.rows.unsqueeze(1))
