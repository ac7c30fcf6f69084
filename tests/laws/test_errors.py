"""What is taken off for rounding covers what rounding does: in float32, against the same lines in float64."""

import pytest
import torch

from cases import make_case, numpy_params
from glscert.verifier.bounds import Box
from glscert.verifier.bounds.errors import Errors
from glscert.verifier.bounds.rows import rows_of
from glscert.verifier.bounds.substitution import input_anchor, relax
from glscert.verifier.bounds.zonotope import input_zonotope, through
from glscert.verifier.ops import compiled
from glscert.verifier.search.intermediate import unstable_preactivations
from random_graphs import GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
NEEDS_COMPILER = pytest.mark.skipif(compiled._compiler() is None, reason="no C compiler")


def double(values):
    return {name: value.double() for name, value in values.items()}


def lines_in(dtype, lines):
    return {n: type(line)(*(None if part is None else part.to(dtype) for part in line)) for n, line in lines.items()}


@NEEDS_COMPILER
@pytest.mark.parametrize("name", WITH_RELU)
def test_a_bound_in_float32_is_below_the_same_in_float64(name):
    case = make_case(name, 31, batch=3, dtype=torch.float32, radius=0.5)
    exact_params, exact_box = double(case.params), Box(*(end.double() for end in case.box))
    bases = input_anchor(case.graph, case.params, case.box), input_anchor(case.graph, exact_params, exact_box)
    single, exact = (
        rows_of(case.graph, case.params, case.graph.input),
        rows_of(case.graph, exact_params, case.graph.input),
    )
    errors = Errors(case.graph, exact_params, exact_box, single.unit)
    pre = unstable_preactivations(case.graph, exact_params, bases[1], errors=errors)
    earlier, differ = {}, 0
    for value, box in pre.items():
        # the same lines for both, rounded to float32 first
        lines = lines_in(torch.float32, relax(case.graph, earlier))
        count = box.lower[0].numel()
        places = torch.arange(3).repeat_interleave(count), torch.arange(count).repeat(3)
        for side in (1.0, -1.0):
            sign = torch.full((3 * count,), side)
            found = single.neuron_bounds(value, *places, sign, lines, bases[0], errors).double()
            plain = single.neuron_bounds(value, *places, sign, lines, bases[0]).double()
            true = exact.neuron_bounds(value, *places, sign, lines_in(torch.float64, lines), bases[1])
            assert (found <= true).all()
            assert ((plain - true).abs() <= plain - found + 1e-12).all()
            differ += int((plain != true).sum())
        earlier[value] = box
    assert differ


@NEEDS_COMPILER
@pytest.mark.parametrize("name", WITH_RELU)
def test_boxes_of_neurons_hold_the_values(name):
    case = make_case(name, 32, batch=3, radius=0.5)
    base = input_anchor(case.graph, case.params, case.box)
    program = rows_of(case.graph, case.params, case.graph.input)
    errors = Errors(case.graph, case.params, case.box, program.unit)
    found = unstable_preactivations(case.graph, case.params, base, errors=errors)
    plain = unstable_preactivations(case.graph, case.params, base)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(200, *case.box.lower.shape)
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    for value, (lower, upper) in found.items():
        seen = torch.from_numpy(values[value]).unflatten(0, (200, 3))
        assert (seen >= lower).all() and (seen <= upper).all()
        # rarely much wider, where a neuron with an end at 0 counts as unstable now
        near = (lower > plain[value].lower - 1e-8) & (upper < plain[value].upper + 1e-8)
        assert near.double().mean() > 0.9
        assert (errors.sizes[value] >= seen.abs() - 1e-12).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_zonotopes_in_float32_hold_those_in_float64(name):
    case = make_case(name, 33, batch=2, dtype=torch.float32, radius=0.4)
    exact_params, exact_box = double(case.params), Box(*(end.double() for end in case.box))
    pre = unstable_preactivations(case.graph, exact_params, input_anchor(case.graph, exact_params, exact_box))
    rounded = {n: Box(*(end.float() for end in box)) for n, box in pre.items()}
    again = {n: Box(*(end.double() for end in box)) for n, box in rounded.items()}
    entries = sum(value.numel() for value in case.params.values()) + sum(
        torch.Size(shape).numel() for shape in case.graph.shapes.values()
    )
    errors = Errors(case.graph, case.params, case.box, 4 * torch.finfo(torch.float32).eps * entries)
    single, exact = {case.graph.input: input_zonotope(case.box)}, {case.graph.input: input_zonotope(exact_box)}
    for node in case.graph.nodes:
        own = through(case.graph, case.params, node, single, rounded.get(node.inputs[0]))
        single[node.output] = errors.beyond(node, [single[n] for n in node.inputs], own)
        exact[node.output] = through(case.graph, exact_params, node, exact, again.get(node.inputs[0]))
        errors.reach(node, rounded.get(node.inputs[0]))
        wide, true = single[node.output].box(), exact[node.output].box()
        assert (wide.lower.double() <= true.lower + 1e-9).all() and (wide.upper.double() >= true.upper - 1e-9).all()
