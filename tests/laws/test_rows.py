"""The compiled program for rows against back-substitution in torch: any graph, any rows, any dual."""

import pytest
import torch

from cases import make_case, preactivations, random_dual, random_splits, sampled
from glscert.verifier.bounds import beta_crown
from glscert.verifier.bounds.backward import lower_bound
from glscert.verifier.bounds.beta_crown import dual_bound, look, split_impact, tighten
from glscert.verifier.bounds.rows import rows_of
from glscert.verifier.bounds.substitution import anchor, input_anchor, relax
from glscert.verifier.ops import compiled
from glscert.verifier.ops.forms import neurons
from glscert.verifier.search import branching
from glscert.verifier.search.branching import best_split
from glscert.verifier.search.problem import Batch
from random_graphs import CURVED, GRAPHS, Builder

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
NEEDS_COMPILER = pytest.mark.skipif(compiled._compiler() is None, reason="no C compiler")
CLOSE = {torch.float64: {"rtol": 1e-11, "atol": 1e-11}, torch.float32: {"rtol": 1e-4, "atol": 1e-4}}


def in_torch(function, *arguments, **options):
    """The function's result without the compiled program."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (beta_crown, branching):
            patch.setattr(module, "rows_of" if module is beta_crown else "dual_program", lambda *_: None)
        return function(*arguments, **options)


@NEEDS_COMPILER
@pytest.mark.parametrize("end", (anchor, input_anchor))
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32))
@pytest.mark.parametrize("name", [name for name in GRAPHS | CURVED if name != "affine_only"])
def test_bounds_of_neurons(name, dtype, end):
    case = make_case(name, 90, batch=3, dtype=dtype)
    base = end(case.graph, case.params, case.box)
    program = rows_of(case.graph, case.params, next(iter(base.radii)))
    assert program is not None
    earlier = {}
    for value, box in preactivations(case, base).items():
        count = box.lower[0].numel()
        every = torch.arange(count).expand(3, -1)
        form = neurons(case.graph.shapes[value], every, box.lower)
        rows = lower_bound(case.graph, case.params, value, form, relax(case.graph, earlier), base.centres, base.radii)
        places = torch.arange(3).repeat_interleave(count), torch.arange(count).repeat(3)
        for side, expected in zip((1.0, -1.0), rows.unflatten(1, (-1, 2)).unbind(2), strict=True):
            sign = torch.full((3 * count,), side)
            found = program.neuron_bounds(value, *places, sign, relax(case.graph, earlier), base)
            assert torch.allclose(found.reshape(3, count), expected, **CLOSE[dtype])
        earlier[value] = box


def split_case(name, seed, rows=3):
    case = make_case(name, seed, batch=4, rows=rows, radius=0.5)
    base = input_anchor(case.graph, case.params, case.box)
    plain = preactivations(case, base)
    values, _ = sampled(case)
    pre, cuts = random_splits(case.graph, plain, values)
    return case, base, pre, cuts


def of_the_cuts(dual, cuts):
    """As a search has it: multipliers of neurons that are split alone, of the sign of their side."""
    ends = {name: cut.upper.double() - cut.lower.double() for name, cut in cuts.items()}
    return dual._replace(multipliers={n: value.abs() * ends[n].unsqueeze(1) for n, value in dual.multipliers.items()})


@NEEDS_COMPILER
@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("name", WITH_RELU)
def test_bounds_of_a_dual_and_what_there_is_to_see(name, weighted):
    case, base, pre, cuts = split_case(name, 91)
    dual = random_dual(pre, 1 if weighted else 3)
    if weighted:
        dual = dual._replace(weights=torch.rand(4, 3, dtype=torch.float64))
    given = (case.graph, case.params, base, case.spec, pre, dual, cuts)
    assert torch.allclose(dual_bound(*given), in_torch(dual_bound, *given), **CLOSE[torch.float64])
    seen, expected = look(*given), in_torch(look, *given)
    for value in pre:
        assert torch.allclose(seen.met[value], expected.met[value], **CLOSE[torch.float64])
    assert torch.equal(seen.corner, expected.corner) or near_ties(case, seen.corner, expected.corner)


def near_ties(case, one, other):
    """Corners may differ only where a coefficient is 0: both give the row the same value."""
    return ((one - other).abs() > 0).float().mean() < 0.2


@NEEDS_COMPILER
@pytest.mark.parametrize("name", WITH_RELU)
def test_both_sides_of_a_split(name):
    case, base, pre, cuts = split_case(name, 92, rows=1)
    dual = of_the_cuts(random_dual(pre, 1), cuts)._replace(weights=torch.ones(4, 1, dtype=torch.float64))
    work = Batch(case.params, base, case.spec, pre)
    impact = split_impact(case.graph, pre, dual, look(case.graph, *work[:3], pre, dual, cuts).met)
    top = torch.cat([impact[value].flatten(1) for value in impact], 1).topk(2)
    given = (case.graph, work, pre, dual, cuts, list(impact), top.indices)
    unstable = top.values > -torch.inf
    found, expected = branching._sides(*given)[unstable], in_torch(branching._sides, *given)[unstable]
    assert torch.allclose(found, expected, **CLOSE[torch.float64])
    known = torch.full((4,), -torch.inf, dtype=torch.float64)
    assert torch.equal(best_split(*given[:5], impact, known), in_torch(best_split, *given[:5], impact, known))


@NEEDS_COMPILER
@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("name", WITH_RELU)
def test_an_ascent_climbs_as_far_as_in_torch(name, weighted):
    case, base, pre, cuts = split_case(name, 93)
    dual = of_the_cuts(random_dual(pre, 1 if weighted else 3, scale=0.1), cuts)
    if weighted:
        dual = dual._replace(weights=torch.full((4, 3), 1 / 3, dtype=torch.float64))
    given = (case.graph, case.params, base, case.spec, pre, dual, cuts)
    best, found = tighten(*given, steps=5)
    expected, _ = in_torch(tighten, *given, steps=5)
    open_still = expected.amax(1) <= 0  # the program may stop a row earlier or later than torch the whole batch
    assert (best >= expected - 1e-2 * (1 + expected.abs()))[open_still].all()
    assert torch.allclose(dual_bound(*given[:5], found, cuts), best, **CLOSE[torch.float64])
    assert (best >= dual_bound(*given) - 1e-11).all()


@NEEDS_COMPILER
def test_what_is_given_stays_as_it_is():
    """Also where the program's layout is that of the given tensors: one neuron, and a whole vector of boxes."""

    def one_neuron(rng):
        builder = Builder((3,), rng)
        return builder.finish(builder.gemm(builder.relu(builder.gemm("x", 1)), 2))

    case = make_case("one", 94, batch=16, rows=1, radius=2.0, make=one_neuron)
    base = input_anchor(case.graph, case.params, case.box)
    pre, cuts = random_splits(case.graph, preactivations(case, base), sampled(case)[0])
    dual = of_the_cuts(random_dual(pre, 1), cuts)
    before = {name: (dual.slopes[name].clone(), dual.multipliers[name].clone()) for name in pre}
    tighten(case.graph, case.params, base, case.spec, pre, dual, cuts, steps=5)
    for name, kept in before.items():
        assert torch.equal(dual.slopes[name], kept[0]) and torch.equal(dual.multipliers[name], kept[1])
