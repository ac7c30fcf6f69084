"""Where back-substitution ends, the lines it goes through, and the specification's rows it starts from."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ..graph import Graph
from ..ops import Box, Lines, Params
from ..ops.forms import Form
from .backward import lower_bound
from .interval import Intervals, affine_values, entry_value, nonlinearities
from .specification import Spec


class Anchor(NamedTuple):
    """What back-substitution ends on: boxes of the values affine in the input, and the radius of the entry value."""

    boxes: dict[str, Box]
    centres: dict[str, Tensor]
    radii: dict[str, Tensor]


def anchor(graph: Graph, params: Params, box: Box) -> Anchor:
    return anchor_at(graph, Intervals(graph, params, box, affine_values(graph)))


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
