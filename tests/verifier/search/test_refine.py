"""Refined boxes lie within the given ones and around every value that the network takes."""

import pytest
import torch

from cases import make_case, numpy_params, preactivations, single_params
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.search.refine import refined
from random_graphs import GRAPHS
from reference import forward


def climbed(case, pre, memory):
    work = refined(case.graph, case.params, single_params(case), case.box, pre, steps=4, memory=memory)
    while True:
        try:
            next(work)
        except StopIteration as over:
            return over.value


@pytest.mark.parametrize("name", GRAPHS)
def test_within_the_given_boxes_and_around_the_values(name):
    case = make_case(name, 5, batch=1, radius=0.5)
    pre = preactivations(case, anchor(case.graph, case.params, case.box))
    found = climbed(case, pre, 2**14)
    points = case.box.lower + (case.box.upper - case.box.lower) * torch.rand(300, *case.box.lower.shape[1:])
    values = forward(case.graph, numpy_params(case), points.numpy())
    assert set(found) == set(pre)
    for value, (lower, upper) in found.items():
        assert (lower >= pre[value].lower).all() and (upper <= pre[value].upper).all()
        seen = torch.from_numpy(values[value])
        assert (seen >= lower - 1e-9).all() and (seen <= upper + 1e-9).all()
