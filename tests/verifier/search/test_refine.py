"""Refined boxes lie within the given ones and around every value that the network takes."""

import pytest
import torch

from cases import make_case, numpy_params, single_params
from glscert.verifier.bounds import Box
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.search.intermediate import unstable_preactivations
from glscert.verifier.search.refine import refined
from random_graphs import GRAPHS
from reference import forward


def climbed(case, pre, **options):
    return refined(case.graph, case.params, single_params(case), case.box, pre, steps=4, **options)


@pytest.mark.parametrize("name", GRAPHS)
def test_within_the_given_boxes_and_around_the_values(name):
    case = make_case(name, 5, batch=1, radius=0.5)
    pre = unstable_preactivations(case.graph, case.params, anchor(case.graph, case.params, case.box))
    found = climbed(case, pre, memory=2**14, stop=lambda: False)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(300, *case.box.lower.shape[1:])
    values = forward(case.graph, numpy_params(case), points.numpy())
    assert set(found) == set(pre)
    for value, (lower, upper) in found.items():
        assert (lower >= pre[value].lower).all() and (upper <= pre[value].upper).all()
        seen = torch.from_numpy(values[value])
        assert (seen >= lower - 1e-9).all() and (seen <= upper + 1e-9).all()


def test_stops_when_told():
    case = make_case("gemm_only", 5, batch=1)
    pre = unstable_preactivations(case.graph, case.params, anchor(case.graph, case.params, case.box))
    found = climbed(case, pre, memory=2**20, stop=lambda: True)
    assert all(torch.equal(found[name].lower, pre[name].lower) for name in pre)
    assert isinstance(next(iter(found.values())), Box)
