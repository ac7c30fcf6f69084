"""A split's two children cover their parent, and clipping keeps exactly the chosen side."""

import pytest
import torch

from glscert.verifier.bounds import Box
from glscert.verifier.search.domains import Branch, Domain, Packing, Split, clip, stacked_dual


def domain(splits=(), branch=None, value=0.5):
    return Domain(0, splits, -1.0, {"a": torch.full((1, 2), value)}, {"a": torch.zeros(1, 2)}, torch.ones(1), branch)


@pytest.fixture
def pre():
    return {"a": Box(torch.full((2, 2), -1.0), torch.full((2, 2), 2.0))}


def test_children_take_both_sides_of_one_neuron():
    first = Split("a", 0, 1, 0.0)
    parent = domain((first,), Branch("a", 1, 0.5))
    assert [child.splits for child in parent.children()] == [
        (first, Split("a", 1, 1, 0.5)),
        (first, Split("a", 1, -1, 0.5)),
    ]
    assert all(child.bound == parent.bound and child.branch is None for child in parent.children())


def test_without_a_neuron_to_split_there_are_no_children():
    with pytest.raises(ValueError, match="without a neuron"):
        domain().children()


def test_the_ends_that_splits_move_and_no_other(pre):
    (lower, upper), cut = (
        each["a"] for each in clip(pre, [domain((Split("a", 0, 1, 0.0), Split("a", 1, -1, 1.0))), domain()])
    )
    assert lower.tolist() == [[0, -1], [-1, -1]]
    assert upper.tolist() == [[2, 1], [2, 2]]
    assert cut.lower.tolist() == [[True, False], [False, False]]
    assert cut.upper.tolist() == [[False, True], [False, False]]


def test_of_many_splits_of_a_neuron_the_tightest_count(pre):
    places = [(1, -0.5), (-1, 1.5), (1, 0.25), (-1, 1.75), (1, 0.0)]
    (lower, upper), cut = (
        each["a"] for each in clip(pre, [domain(tuple(Split("a", 1, *p) for p in places)), domain()])
    )
    assert (lower[0, 1], upper[0, 1]) == (0.25, 1.5)
    assert cut.lower[0].tolist() == cut.upper[0].tolist() == [False, True]


def test_a_split_beyond_the_box_changes_nothing(pre):
    (lower, upper), cut = (each["a"] for each in clip(pre, [domain((Split("a", 0, 1, -3.0),)), domain()]))
    assert lower[0, 0] == -1
    assert not cut.lower.any() and not cut.upper.any()


@pytest.mark.parametrize("point", (0.0, 0.7))
def test_the_children_together_are_the_parent(pre, point):
    lower, upper = clip(pre, domain(branch=Branch("a", 1, point)).children())[0]["a"]
    assert lower[0, 1] == upper[1, 1] == torch.tensor(point)
    assert (torch.minimum(*lower) == pre["a"].lower[0]).all()
    assert (torch.maximum(*upper) == pre["a"].upper[0]).all()


def test_duals_are_stacked_in_order():
    dual = stacked_dual([domain(value=0.1), domain(value=0.9)])
    assert dual.slopes["a"].shape == (2, 1, 2)
    assert torch.allclose(dual.slopes["a"][:, 0, 0], torch.tensor([0.1, 0.9]))


def test_packing_keeps_what_unstable_neurons_have():
    packing = Packing({"a": torch.tensor([False, True])})
    packed = packing.packed(domain(value=0.3))
    assert packing.size == packed.slopes["a"].numel() == packed.multipliers["a"].numel() == 1
    spelled = packing.spelled(packed)
    assert spelled.slopes["a"].tolist() == [[0, pytest.approx(0.3)]]
    assert spelled.splits == packed.splits and spelled.bound == -1
