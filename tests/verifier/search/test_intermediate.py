"""Boxes of unstable neurons alone: as tight as DeepPoly over the same earlier boxes or tighter, never past a sample."""

import pytest
import torch

from cases import make_case, numpy_params, preactivations
from glscert.verifier.bounds.backward import lower_bound
from glscert.verifier.bounds.substitution import anchor, relax
from glscert.verifier.bounds.zonotope import input_zonotope, through
from glscert.verifier.ops.forms import identity, identity_bounds
from glscert.verifier.search import intermediate
from random_graphs import CURVED, GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]


@pytest.mark.parametrize("name", WITH_RELU)
@pytest.mark.parametrize("radius", (0.0, 0.05, 0.5))
def test_equal_or_tighter_where_it_matters_and_sound(name, radius):
    """A neuron that the interval already finds stable may keep the wider box: its ReLU is exact either way.

    Against DeepPoly from scratch it may lose: a tighter box can tip the choice of an earlier slope.
    """
    case = make_case(name, 11, radius=radius)
    base = anchor(case.graph, case.params, case.box)
    found = preactivations(case, base)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(300, *case.box.lower.shape).double()
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    earlier = {}
    for value, box in found.items():
        rows = identity(case.graph.shapes[value], case.box.lower)
        lines = relax(case.graph, earlier)
        plain = lower_bound(case.graph, case.params, value, rows, lines, base.centres, base.radii)
        ends = identity_bounds(plain, case.graph.shapes[value])
        lower, upper = (end.reshape(box.lower.shape) for end in ends)
        earlier[value] = box
        unstable = (box.lower < 0) & (box.upper > 0)
        assert (box.lower >= lower - 1e-9)[unstable].all()
        assert (box.upper <= upper + 1e-9)[unstable].all()
        reached = torch.from_numpy(values[value]).reshape(300, *box.lower.shape)
        assert (reached >= box.lower - 1e-9).all()
        assert (reached <= box.upper + 1e-9).all()


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_no_point_leaves_a_zonotope(name):
    case = make_case(name, 12, radius=0.4)
    values = {case.graph.input: input_zonotope(case.box)}
    for node in case.graph.nodes:
        values[node.output] = through(case.graph, case.params, node, values, values[node.inputs[0]].box())
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(300, *case.box.lower.shape).double()
    reached = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    for value, zonotope in values.items():
        lower, upper = zonotope.box()
        seen = torch.from_numpy(reached[value]).reshape(300, *lower.shape)
        assert ((seen >= lower - 1e-9) & (seen <= upper + 1e-9)).all()


@pytest.mark.parametrize("name", ("gemm_only", "residual", "pooled", "sigmoids"))
def test_boxes_after_zonotopes_are_sound(name, monkeypatch):
    case = make_case(name, 13, radius=0.1)
    monkeypatch.setattr(intermediate, "_NEURONS", 1e-9)
    base = anchor(case.graph, case.params, case.box)
    found = preactivations(case, base)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(300, *case.box.lower.shape).double()
    reached = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    for value, box in found.items():
        seen = torch.from_numpy(reached[value]).reshape(300, *box.lower.shape)
        assert ((seen >= box.lower - 1e-9) & (seen <= box.upper + 1e-9)).all()
