"""Refined boxes lie within the given ones and around every value that the network takes."""

import pytest
import torch

from cases import make_case, numpy_params, preactivations, single_params
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.ops import compiled
from glscert.verifier.search.refine import refined
from random_graphs import CURVED, GRAPHS, Builder
from reference import forward


def two_kinds_on_one_value(rng):
    """A ReLU and a Sigmoid, the latter through a Reshape, as the loader writes it."""
    b = Builder((3,), rng)
    value = b.join("Add", "x", "x")
    return b.finish(b.gemm(b.join("Add", b.relu(value), b.unary("Sigmoid", b.reshape(value, (3,)))), 2))


def climbed(case, pre, memory):
    work = refined(case.graph, case.params, single_params(case), case.box, pre, steps=4, memory=memory)
    while True:
        try:
            next(work)
        except StopIteration as over:
            return over.value


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
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


def test_slopes_without_a_say_are_let_be(monkeypatch):
    monkeypatch.setattr(compiled, "library", lambda text: None)
    case = make_case("two kinds", 5, batch=1, radius=0.5, make=two_kinds_on_one_value)
    pre = preactivations(case, anchor(case.graph, case.params, case.box))
    assert climbed(case, pre, 2**14).keys() == pre.keys()
