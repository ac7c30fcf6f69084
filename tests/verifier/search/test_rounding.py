"""The margin for rounding grows with what is summed, and is infinite where a bound is no number."""

import pytest
import torch

from cases import make_case, numpy_params
from glscert.verifier.bounds import RELAXATIONS, Box
from glscert.verifier.search.rounding import ROUNDING_MARGIN, path_magnitudes, rounding_margins
from random_graphs import GRAPHS
from reference import forward


@pytest.mark.parametrize("name", list(GRAPHS))
def test_above_the_floor_and_above_every_output(name):
    case = make_case(name, 12)
    bounds = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec)
    margins = rounding_margins(case.graph, case.params, case.box, bounds.pre)
    assert margins.shape == (2,)
    assert (margins >= ROUNDING_MARGIN).all()
    magnitudes = path_magnitudes(case.graph, case.params, torch.maximum(case.box.lower.abs(), case.box.upper.abs()))
    for value, reached in forward(case.graph, numpy_params(case), case.box.lower.numpy()).items():
        assert (magnitudes[value] + 1e-9 >= torch.from_numpy(reached).abs()).all()


@pytest.mark.parametrize("bad", (float("nan"), float("inf")))
def test_infinite_where_a_bound_is_no_number(bad):
    case = make_case("gemm_only", 12)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    name = next(iter(pre))
    upper = pre[name].upper.clone()
    upper[1, 0] = bad
    margins = rounding_margins(case.graph, case.params, case.box, {**pre, name: Box(pre[name].lower, upper)})
    assert margins[0].isfinite()
    assert margins[1] == torch.inf
