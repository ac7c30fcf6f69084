"""A split's two children cover their parent, and clipping keeps exactly the chosen side."""

import torch

from glscert.verifier.bounds import Box
from glscert.verifier.search.domains import Domain, clip, split_signs, stacked_dual


def domain(splits=(), branch=None, value=0.5):
    return Domain(0, splits, -1.0, {"a": torch.full((1, 2), value)}, {"a": torch.zeros(1, 2)}, torch.ones(1), branch)


def test_children_take_both_sides_of_one_neuron():
    parent = domain((("a", 0, 1),), ("a", 1))
    assert [child.splits for child in parent.children()] == [(("a", 0, 1), ("a", 1, 1)), (("a", 0, 1), ("a", 1, -1))]
    assert all(child.bound == parent.bound and child.branch is None for child in parent.children())


def test_without_a_neuron_to_split_it_is_bounded_again():
    (again,) = domain().children()
    assert (again.splits, again.branch, again.again) == ((), None, 1)


def test_signs_and_clip():
    pre = {"a": Box(torch.full((2, 2), -1.0), torch.full((2, 2), 2.0))}
    signs = split_signs([domain((("a", 0, 1), ("a", 1, -1))), domain()], pre)
    assert signs["a"].tolist() == [[1, -1], [0, 0]]
    lower, upper = clip(pre, signs)["a"]
    assert lower.tolist() == [[0, -1], [-1, -1]]
    assert upper.tolist() == [[2, 0], [2, 2]]


def test_the_children_together_are_the_parent():
    pre = {"a": Box(torch.full((2, 2), -1.0), torch.full((2, 2), 2.0))}
    children = domain(branch=("a", 1)).children()
    lower, upper = clip(pre, split_signs(children, pre))["a"]
    assert lower[0, 1] == upper[1, 1] == 0
    assert (torch.minimum(*lower) == pre["a"].lower[0]).all()
    assert (torch.maximum(*upper) == pre["a"].upper[0]).all()


def test_duals_are_stacked_in_order():
    dual = stacked_dual([domain(value=0.1), domain(value=0.9)])
    assert dual.slopes["a"].shape == (2, 1, 2)
    assert torch.allclose(dual.slopes["a"][:, 0, 0], torch.tensor([0.1, 0.9]))
