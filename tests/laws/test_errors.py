"""What is taken off for rounding covers what rounding does: in float32, against the same lines in float64."""

import pytest
import torch

from cases import make_case, numpy_params, preactivations
from glscert.verifier.bounds import Box, Spec
from glscert.verifier.bounds.backward import lower_bound
from glscert.verifier.bounds.ball import cut_ball
from glscert.verifier.bounds.beta_crown import Cuts, Dual, dual_bound, look, start_dual
from glscert.verifier.bounds.errors import Errors, analysed
from glscert.verifier.bounds.ibp import ibp
from glscert.verifier.bounds.rows import rows_of
from glscert.verifier.bounds.substitution import anchor, input_anchor, relax, spec_bound
from glscert.verifier.bounds.zonotope import input_zonotope, through
from glscert.verifier.ops import compiled
from glscert.verifier.ops.forms import identity, identity_bounds
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
NEEDS_COMPILER = pytest.mark.skipif(compiled._compiler() is None, reason="no C compiler")
ANCHORS = ("box", Norm.L2, Norm.L1)


def rounded(value):
    return None if value is None else value.float().to(value.dtype)


def in_dtype(kind, values):
    """Named tuples of tensors."""
    return {n: own._make(None if part is None else part.to(kind) for part in own) for n, own in values.items()}


class Both:
    """A case whose every number is a float32, in both precisions."""

    def __init__(self, name, seed, norm="box", radius=0.5, scale=1.0):
        case = make_case(name, seed, batch=3, dtype=torch.float32, radius=radius)
        self.graph, self.norm = case.graph, norm
        self.params = [{key: scale * value.to(kind) for key, value in case.params.items()} for kind in self.kinds]
        self.box = [Box(*(end.to(kind) for end in case.box)) for kind in self.kinds]
        self.spec = [Spec(*(part.to(kind) for part in case.spec)) for kind in self.kinds]
        self.base = [self._anchor(*pair) for pair in zip(self.params, self.box, strict=True)]
        self.case = case._replace(params=self.params[1], box=self.box[1])
        self.pre = {n: Box(*map(rounded, box)) for n, box in preactivations(self.case, self.base[1]).items()}
        lines = {n: own._make(map(rounded, own)) for n, own in relax(self.graph, self.pre).items()}
        self.lines = [in_dtype(kind, lines) for kind in self.kinds]
        self.errors = self.analysed()

    kinds = (torch.float32, torch.float64)

    def analysed(self):
        """As `analysed`, of float32."""
        errors = Errors(self.graph, self.params[1], self.base[1], dtype=torch.float32)
        for node in self.graph.nodes:
            errors.reach(node, self.pre.get(node.inputs[0]))
        return errors

    def _anchor(self, params, box):
        if self.norm == "box":
            return input_anchor(self.graph, params, box)
        radius = (box.upper - box.lower) / 2
        return anchor(self.graph, params, box, cut_ball(self.norm, (box.lower + box.upper) / 2, radius, box))


def covered(found, true, most):
    """Whether bounds in float32 lie at most so much above those in float64; how many differ."""
    assert (found.double() - true <= most).all()
    assert most.isfinite().all()
    return int((found.double() != true).sum())


@NEEDS_COMPILER
@pytest.mark.parametrize("name", WITH_RELU)
def test_neurons_by_the_compiled_program(name):
    both = Both(name, 31)
    programs = [rows_of(both.graph, params, both.graph.input) for params in both.params]
    differ = 0
    for value, box in both.pre.items():
        count = box.lower[0].numel()
        places = torch.arange(3).repeat_interleave(count), torch.arange(count).repeat(3)
        for side in (1.0, -1.0):
            sign = torch.full((3 * count,), side)
            found, true = (
                program.neuron_bounds(value, *places, sign, lines, base)
                for program, lines, base in zip(programs, both.lines, both.base, strict=True)
            )
            less = programs[0].neuron_bounds(value, *places, sign, both.lines[0], both.base[0], both.errors)
            assert (less.double() <= true).all()
            differ += covered(found, true, (found - less).double() + 1e-12)
    assert differ


@pytest.mark.parametrize("norm", ANCHORS)
@pytest.mark.parametrize("name", [*WITH_RELU, *CURVED])
def test_neurons_by_torch(name, norm):
    both = Both(name, 34, norm)
    differ = 0
    for value in both.pre:
        shape = both.graph.shapes[value]
        sides = []
        for params, box, lines, base in zip(both.params, both.box, both.lines, both.base, strict=True):
            form = identity(shape, box.lower)
            rows = lower_bound(both.graph, params, value, form, lines, base.centres, base.radii)
            sides.append(identity_bounds(rows, shape))
        for found, true, sign in zip(*sides, (1, -1), strict=True):
            differ += covered(sign * found.flatten(1), sign * true.flatten(1), both.errors.whole[value].flatten(1))
    assert differ


@pytest.mark.parametrize("scale", (1.0, 30.0))
@pytest.mark.parametrize("norm", ANCHORS)
@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_rows(name, norm, scale):
    both = Both(name, 35, norm, scale=scale)
    found, true = (
        spec_bound(both.graph, params, base, spec, lines)
        for params, base, spec, lines in zip(both.params, both.base, both.spec, both.lines, strict=True)
    )
    whole = both.errors.rows(*both.spec[1])
    covered(found, true, whole)
    dual = start_dual(both.graph, both.pre, both.spec[1].rows.shape[1])
    met = look(both.graph, both.params[1], both.base[1], both.spec[1], both.pre, dual, None).met if both.pre else {}
    closer = both.errors.met(*both.spec[1], met)
    covered(found, true, closer)
    assert (closer <= 1.1 * whole).all()


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_intervals(name):
    both = Both(name, 36)
    found, true = (ibp(both.graph, *pair) for pair in zip(both.params, both.box, both.spec, strict=True))
    both.pre = {
        n: Box(*(end.double() for end in box)) for n, box in found.pre.items()
    }  # what float32 had, with all that rounded on the way
    errors = Errors(both.graph, both.params[1], both.base[1], dtype=torch.float32)
    for node in both.graph.nodes:
        box = both.pre.get(node.inputs[0])
        if box is not None:
            most = errors.whole[node.inputs[0]]
            covered(box.lower, true.pre[node.inputs[0]].lower, most)
            covered(-box.upper, -true.pre[node.inputs[0]].upper, most)
            box = Box(box.lower - most, box.upper + most)
        errors.reach(node, box)
    covered(found.lower, true.lower, errors.rows(*both.spec[1]))


@pytest.mark.parametrize("met", (True, False))
@pytest.mark.parametrize("name", WITH_RELU)
def test_multipliers_of_splits(name, met):
    both = Both(name, 37)
    torch.manual_seed(37)
    cuts = {n: Cuts(*(torch.rand(end.shape) < 0.5 for end in box)) for n, box in both.pre.items()}
    pre = {
        n: Box(
            torch.where(cuts[n].lower, box.lower.clamp(min=0), box.lower),
            torch.where(cuts[n].upper, box.upper.clamp(max=0), box.upper),
        )
        for n, box in both.pre.items()
    }
    dual, moved = start_dual(both.graph, pre, both.spec[1].rows.shape[1]), {}
    for n, value in dual.multipliers.items():
        some = rounded(torch.randn(value.shape, dtype=value.dtype))
        moved[n] = torch.where(some > 0, some * cuts[n].upper.unsqueeze(1), some * cuts[n].lower.unsqueeze(1))
    dual = dual._replace(multipliers=moved)
    bounds = []
    for kind, params, base, spec in zip(both.kinds, both.params, both.base, both.spec, strict=True):
        own = Dual(*({n: value.to(kind) for n, value in part.items()} for part in dual[:2]))
        bounds.append(dual_bound(both.graph, params, base, spec, in_dtype(kind, pre), own, cuts))
    if met:
        seen = look(both.graph, both.params[1], both.base[1], both.spec[1], pre, dual, cuts).met
        most = both.errors.met(*both.spec[1], seen)
    else:
        most = both.errors.rows(*both.spec[1])
    covered(*bounds, most + both.errors.multiplied(dual.multipliers, met=met))


@pytest.mark.parametrize("name", [*WITH_RELU, *CURVED])
def test_boxes_of_neurons_hold_the_values(name):
    case = make_case(name, 32, batch=3, radius=0.5)
    base = input_anchor(case.graph, case.params, case.box)
    found = preactivations(case, base)
    errors = analysed(case.graph, case.params, base, found)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(200, *case.box.lower.shape)
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    for value, (lower, upper) in found.items():
        seen = torch.from_numpy(values[value]).unflatten(0, (200, 3))
        assert (seen >= lower).all() and (seen <= upper).all()
        assert (errors.sizes[value] >= seen.abs() - 1e-12).all()
        assert (errors.whole[value] >= 0.999 * errors.own[value]).all()


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_zonotopes(name):
    both = Both(name, 33, radius=0.4)
    single, exact = ({both.graph.input: input_zonotope(box)} for box in both.box)
    lower, upper = both.box[1]
    points = (lower + (upper - lower) * torch.rand(100, *lower.shape, dtype=lower.dtype)).flatten(0, 1)
    values = {n: torch.from_numpy(v) for n, v in forward(both.graph, numpy_params(both.case), points.numpy()).items()}
    for node in both.graph.nodes:
        box = both.pre.get(node.inputs[0])
        narrow = None if box is None else Box(*(end.float() for end in box))
        own = through(both.graph, both.params[0], node, single, narrow)
        before = [type(single[n])(*(part.double() for part in single[n])) for n in node.inputs]
        wide = both.errors.beyond(node, before, type(own)(*(part.double() for part in own)), box)
        single[node.output] = type(own)(*(part.float() for part in wide))
        exact[node.output] = through(both.graph, both.params[1], node, exact, box)
        held, true = wide.box(), exact[node.output].box()
        seen = values[node.output].unflatten(0, (100, 3))
        assert (held.lower <= seen).all() and (held.upper >= seen).all()
        if name in GRAPHS:  # a curve's lines are others in another precision
            assert (held.lower <= true.lower + 1e-9).all() and (held.upper >= true.upper - 1e-9).all()


@pytest.mark.parametrize("bad", (float("nan"), float("inf")))
def test_a_bound_that_is_no_number_proves_nothing(bad):
    case = make_case("gemm_only", 12)
    base = input_anchor(case.graph, case.params, case.box)
    pre = preactivations(case, base)
    name = next(iter(pre))
    upper = pre[name].upper.clone()
    upper[1, 0] = bad
    needed = analysed(case.graph, case.params, base, {**pre, name: Box(pre[name].lower, upper)}).rows(*case.spec)
    assert needed[0].isfinite().all()
    assert not (1e300 > needed[1]).any()
