"""A split's two children cover their parent, and clipping keeps exactly the chosen side."""

import numpy as np
import pytest

from engine_cases import engine_case
from glscert.verifier.engine.dual import Dual
from glscert.verifier.functions import Box
from glscert.verifier.search.domains import Branch, Domain, Packing, Split, clip


def domain(splits=(), branch=None):
    return Domain(0, splits, -1.0, np.zeros(0), np.zeros(0), np.ones(1), branch)


@pytest.fixture
def pre():
    return {"a": Box(np.full((2, 2), -1.0), np.full((2, 2), 2.0))}


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
    assert pre["a"].lower.tolist() == [[-1, -1], [-1, -1]]


def test_boxes_that_all_domains_share_are_cut_apart():
    shared = Box(*(np.broadcast_to(np.array([[end]]), (3, 1)) for end in (-1.0, 2.0)))
    boxes, _ = clip({"a": shared}, [domain((Split("a", 0, 1, 0.5),)), domain(), domain((Split("a", 0, -1, 1.0),))])
    assert boxes["a"].lower.ravel().tolist() == [0.5, -1, -1]
    assert boxes["a"].upper.ravel().tolist() == [2, 2, 1]


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
    assert lower[0, 1] == upper[1, 1] == point
    assert (lower.min(0) == pre["a"].lower[0]).all()
    assert (upper.max(0) == pre["a"].upper[0]).all()


def test_what_unstable_neurons_have_is_kept_and_comes_back_in_order():
    engine = engine_case("gemm_only").engine
    packing, rng = Packing(engine.bends), np.random.default_rng(0)
    boxes = [
        {name: Box(rng.uniform(-2, 1, bend.size), np.full(bend.size, 1.0)) for name, bend in engine.bends.items()}
        for _ in range(2)
    ]
    kept = [packing.kept(pre) for pre in boxes]
    assert [len(index) for index in kept] == [sum((box.lower < 0).sum() for box in pre.values()) for pre in boxes]
    dual = Dual(
        {name: rng.random((2, 1, bend.size)) for name, bend in engine.bends.items()},
        {name: rng.normal(size=(2, 1, bend.size)) for name, bend in engine.bends.items()},
        np.ones((2, 3)),
    )
    domains = [domain(), domain()]
    packing.keep(domains, dual, kept)
    assert [len(each.slopes) for each in domains] == [len(each.multipliers) for each in domains] == list(map(len, kept))
    back = packing.stacked(domains, kept)
    for name in engine.bends:
        for row, pre in enumerate(boxes):
            unstable = pre[name].lower < 0
            for kind in (0, 1):
                assert (back[kind][name][row, 0, unstable] == dual[kind][name][row, 0, unstable]).all()
                assert not back[kind][name][row, 0, ~unstable].any()
