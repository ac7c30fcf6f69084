"""Trees close what the root does not; a tree that covers less, or claims more, is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.check.checker import Checker, Region
from glscert.verifier.check.network import INPUT
from glscert.verifier.check.questions import Row
from glscert.verifier.check.refusal import Refused
from glscert.verifier.check.values import PLAIN, Cut, InputSplit, Leaf, NeuronSplit, Slopes, Tree
from grown import input_tree, neuron_tree
from onnx_models import make, node
from tree_questions import ONE, group_of, grown, network, question


@pytest.mark.parametrize("seed", range(10))
def test_grown_trees_pass(seed: int) -> None:
    region, tree = grown(seed)
    assert not region.checker.roots([region.group], 2)[0].all()
    region.check(tree)
    other = input_tree(region.checker, region.group, 2, (0,))
    assert other is not None and len(other.nodes) > 1
    region.check(other)


@pytest.mark.parametrize("seed", range(10))
def test_no_tree_proves_what_is_broken(seed: int) -> None:
    checker, group, _ = question(seed, room=-1e-3)
    region = checker.region(group, 2)
    assert neuron_tree(region, 0) is None and input_tree(checker, group, 2, (0,), depth=5) is None


def refused(region: Region, tree: Tree) -> str:
    with pytest.raises(Refused) as caught:
        region.check(tree, "answer 3, group 0, tree 0")
    assert caught.value.place.startswith("answer 3, group 0, tree 0")
    return str(caught.value)


@pytest.mark.parametrize("seed", range(10))
def test_smaller_trees_are_refused(seed: int) -> None:
    """A tree with any of its splits put off is one leaf too few."""
    region, tree = grown(seed)
    assert "not above 0" in refused(region, Tree(tree.clauses, (PLAIN,)))
    assert "ends before" in refused(region, replace(tree, nodes=tree.nodes[:-1]))
    assert "after its last leaf" in refused(region, replace(tree, nodes=(*tree.nodes, PLAIN)))


def test_names_of_what_is_not_there_are_refused() -> None:
    region, tree = grown(0)
    other = [
        (Tree((1,), tree.nodes), "clauses"),
        (Tree((0,), (NeuronSplit(2, 0), PLAIN, PLAIN)), "no node 2"),
        (Tree((0,), (NeuronSplit(0, 6), PLAIN, PLAIN)), "no entry 6"),
        (Tree((0,), (InputSplit(2, 0.0), PLAIN, PLAIN)), "no entry 2"),
        (Tree((0,), (InputSplit(0, 9.0), PLAIN, PLAIN)), "outside"),
        (Tree((0,), (Cut(((0, 0, 9.0),)), PLAIN)), "outside"),
        (Tree((0,), (InputSplit(0, 0.0), NeuronSplit(0, 0), PLAIN, PLAIN, PLAIN)), "mix"),
        (Tree((0,), (Leaf((1, 2)),)), "weights"),
        (Tree((0,), (Leaf((), b"\x80"),)), "slopes"),
        (Tree((0,), (Leaf((), Slopes.DEFAULT, (1.0,)),)), "multipliers"),
    ]
    for hostile, said in other:
        assert said in refused(region, hostile)


def test_a_split_off_the_box_closes_its_empty_side_alone() -> None:
    """z <= its least value - 1 holds nowhere; the other child is the root again."""
    region, _ = grown(0)
    low = float(region.regions.boxes.lower[region.split.step(0)[1].input][0, 0]) - 1
    assert "node 1:" in refused(region, Tree((0,), (NeuronSplit(0, 0, low), PLAIN, PLAIN)))
    bounds = region.bounds((0,), [(((0, 0, 1, low),), PLAIN)])
    assert bounds == [float("inf")]


def test_several_rows_close_a_clause_together() -> None:
    """x_0 and -x_0 + 1 are not positive everywhere alone; their sum is, and so is a weighted one."""
    checker = network(0)
    rows = (Row((), Fraction(0), ((0, ONE),)), Row((), ONE, ((0, -ONE),)))
    ends = np.full(2, -2.0), np.full(2, 2.0)
    for rule in (0, 1, 2):
        assert checker.roots([group_of(*ends, rows)], rule)[0].all()
        assert not checker.roots([group_of(*ends, rows[:1]), group_of(*ends, rows[1:])], rule)[0].any()
    region = checker.region(group_of(*ends, rows), 1)
    region.check(Tree((0,), (Leaf((40000, 40000)),)))
    assert "not above 0" in refused(region, Tree((0,), (Leaf((40000, 10000)),)))


@pytest.mark.parametrize("seed", range(10))
def test_cuts_take_off_only_what_is_proved(seed: int) -> None:
    """In one input: the row is positive above a point; a cut down to it passes, one a little further does not."""
    consts = {"W": np.array([[1.0]], np.float32), "b": np.float32([np.random.default_rng(seed).uniform(-0.5, 0.5)])}
    checker = Checker(make([node("Gemm", "x W b", "a"), node("Relu", "a", "y")], (1, 1), consts))
    lower, upper, corner = np.array([-1.0]), np.array([2.0]), -float(consts["b"][0])
    group = group_of(lower, upper, (Row(((0, ONE),), Fraction(-1, 4)),), outputs=1)  # Relu(x + b) > 1/4
    region = checker.region(group, 1)
    line = corner + 0.25
    passing, hostile = (Tree((0,), (Cut(((0, 1, line + off),)), PLAIN)) for off in (1e-4, -1e-4))
    assert "node 1: the leaf" in refused(region, passing)  # what is left holds points where it is broken
    assert "node 0: what is cut off" in refused(region, hostile)
    assert "rule 0" in refused(checker.region(group, 0), hostile)


def test_clauses_that_are_closed_stay_closed_below() -> None:
    """One clause closes at the root; the other needs the split, whose leaves alone would do for both."""
    for seed in range(100):
        checker, group, offset = question(seed)
        easy = Row(((0, ONE), (1, -ONE)), Fraction(offset + 100))
        both = group_of(group.lower, group.upper, (easy,), group.clauses.rows[0])
        tree = input_tree(checker, both, 1, (0, 1))
        if tree is not None and len(tree.nodes) > 1:
            checker.region(both, 1).check(tree)
            assert checker.roots([both], 1)[0].tolist() == [True, False]
            return
    raise AssertionError("no tree is grown")


def test_the_input_is_the_first_tensor() -> None:
    assert network(0).network.sizes[INPUT] == 2
