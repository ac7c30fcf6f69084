"""Proofs of tiny networks in fractions: the same trees pass, and what is broken does not."""

from collections.abc import Mapping

import numpy as np
import pytest

from glscert.verifier.check.certificate import encode
from glscert.verifier.check.checker import Checker, check
from glscert.verifier.check.digest import model_digest
from glscert.verifier.check.exact import check_exactly
from glscert.verifier.check.questions import Question
from glscert.verifier.check.refusal import NotCovered
from glscert.verifier.check.values import (
    PLAIN,
    Certificate,
    Cut,
    Group,
    InputSplit,
    Leaf,
    NeuronSplit,
    Proved,
    Slopes,
    Tree,
)
from grown import input_tree, neuron_tree
from onnx_models import make, node
from tree_questions import grown, ordered, question


def certificate(checker: Checker, *trees: Tree, arithmetic: str = "float32") -> bytes:
    """One answer for each tree, under rule 2."""
    answers = tuple((key, Proved((Group(2, (tree,)),))) for key, tree in enumerate(trees))
    return encode(Certificate(arithmetic, model_digest(checker.model), {"kind": "vnnlib"}, "t", answers))


def statuses(checker: Checker, asked: Question, *trees: Tree, exactly: bool = True, arithmetic: str = "float32"):
    def questions(checker: Checker, found: Certificate) -> Mapping[int, Question]:
        return {key: asked for key, _ in found.answers}

    data = certificate(checker, *trees, arithmetic=arithmetic)
    report = (check_exactly if exactly else check)(checker.model, data, questions)
    return [outcome.status.value for outcome in report.outcomes]


@pytest.mark.parametrize("arithmetic", ["float32", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_grown_trees_pass_in_fractions(seed: int, arithmetic: str) -> None:
    region, tree = grown(seed)
    asked, other = Question((region.group,), False), input_tree(region.checker, region.group, 2, (0,))
    assert other is not None
    trees = (tree, other, Tree((0,), (PLAIN,)), Tree((0,), (Leaf((1,), slopes=b""),)))
    found = statuses(region.checker, asked, *trees, arithmetic=arithmetic)
    assert found == ["proved", "proved", "refused", "refused"]
    assert found == statuses(region.checker, asked, *trees, exactly=False, arithmetic=arithmetic)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_broken_does_not(seed: int) -> None:
    """The tree of a question with some room, where it has none."""
    for number in range(seed, 1000, 50):
        checker, group, _ = question(number)
        tree = neuron_tree(checker.region(group, 2), 0)
        if tree is not None:
            _, broken, _ = question(number, room=-1e-6)
            assert statuses(checker, Question((broken,), False), tree) == ["refused"]
            return
    raise AssertionError("no tree is grown")


def test_hostile_trees_are_refused_as_in_floats() -> None:
    region, _ = grown(0)
    asked = Question((region.group,), False)
    trees = (
        Tree((0,), (NeuronSplit(9, 0), PLAIN, PLAIN)),
        Tree((0,), (NeuronSplit(0, 99), PLAIN, PLAIN)),
        Tree((0,), (InputSplit(9, 0.0), PLAIN, PLAIN)),
        Tree((0,), (InputSplit(0, 99.0), PLAIN, PLAIN)),
        Tree((0,), (Cut(((0, 0, 99.0),)), PLAIN)),
        Tree((0,), (Leaf((1, 2)),)),
        Tree((0,), (Leaf((), b"\x00" * 50),)),
        Tree((0,), (InputSplit(0, float(region.group.lower[0])), Leaf((), Slopes.SAME), PLAIN)),
    )
    for exactly in (True, False):
        assert statuses(region.checker, asked, *trees, exactly=exactly) == ["refused"] * len(trees)


@pytest.mark.parametrize("exactly", [False, True])
def test_ends_of_a_cut_move_in_order(exactly: bool) -> None:
    """x_1 > 1/2 is closed by itself; then, with x_1 <= 1/2, x_0 > 3/4 by x_0 - x_1 > 1/4; the rest by another row."""
    checker, group = ordered()
    first, second = (1, 1, 0.51), (0, 1, 0.77)
    passing = [(first, second), ((1, 1, 0.9), first, second), (first, second, (0, 1, 0.77))]
    hostile = [(second, first), (first, (0, 1, 0.74)), ((1, 1, 0.49), second), (first, second, (1, 1, 0.9))]
    hostile += [((2, 0, 0.5),), (first,), (second,)]
    trees = [Tree((0,), (Cut(ends), PLAIN)) for ends in (*passing, *hostile)]
    found = statuses(checker, Question((group,), False), *trees, exactly=exactly)
    assert found == ["proved"] * len(passing) + ["refused"] * len(hostile)


def test_larger_networks_are_not_covered() -> None:
    wide = Checker(make([node("MatMul", "x W", "y")], (1, 200), {"W": np.ones((200, 200), np.float32)}))
    curved = Checker(make([node("Sigmoid", "x", "y")], (1, 2), {}))
    double = Checker(make([node("Relu", "x", "y")], (1, 2), {}, dtype=np.float64))
    for checker in (wide, curved, double):
        with pytest.raises(NotCovered, match="--exact"):
            statuses(checker, Question((), False))
