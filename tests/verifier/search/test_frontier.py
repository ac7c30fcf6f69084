"""Which open subdomains are split next."""

import numpy as np

from glscert.verifier.functions import Box
from glscert.verifier.search.domains import Branch, Domain, Split
from glscert.verifier.search.frontier import Frontier, Limits
from glscert.verifier.search.problem import Problem

NOTHING = np.zeros(0), np.zeros(0), np.ones(1)


def frontier(memory, count=6):
    """One problem, its subdomains of depths 0, 1, … and bounds that get tighter the shallower they are."""
    box = Box(np.zeros(1), np.ones(1))
    found = Frontier([Problem(0, 0, box, np.ones((1, 1)), np.zeros(1), {"a": box})], Limits(60.0, memory=memory), 1)
    for depth in range(count):
        splits = tuple(Split("a", 0, 1, 0.0) for _ in range(depth))
        domain = Domain(0, splits, -1.0 - depth, *NOTHING, Branch("a", 0, 0.0))
        found.add(domain)
    return found


def test_the_loosest_come_first_while_there_is_room():
    assert {child.bound for child in frontier(2**20).next_children(2)} == {-5.0, -6.0}


def test_the_deepest_come_first_in_a_crowd():
    few = frontier(2**20)
    few.progress[0].open[0].bound = -100.0  # the loosest is the root
    assert {len(child.splits) for child in few.next_children(1)} == {1}
    crowd = frontier(8 * 4096)
    crowd.progress[0].open[0].bound = -100.0
    assert {len(child.splits) for child in crowd.next_children(1)} == {6}


def test_what_begins_anew_is_not_proved_by_having_nothing_open():
    found = frontier(2**20, count=0)
    assert found.progress[0].whole
    found.account([Domain(0, (), -1.0, *NOTHING)], 0.0)
    assert found.progress[0].done is None and found.is_waiting()
    found.progress[0].whole = False
    found.account([Domain(0, (), 1.0, *NOTHING)], 0.0)
    assert found.progress[0].done == "" and not found.is_waiting()


def test_shared_work_is_counted_once():
    box = Box(np.zeros(1), np.ones(1))
    problems = [Problem(owner, 0, box, np.ones((1, 1)), np.zeros(1), {"a": box}) for owner in (0, 0, 0, 1)]
    found = Frontier(problems, Limits(60.0), 1)
    found.spend(0, 7, 3.0)
    assert [progress.visited for progress in found.progress] == [2, 2, 3, 0]
    assert [progress.seconds for progress in found.progress] == [1.0, 1.0, 1.0, 0.0]
    found.spend(0, 0, 60.0)
    assert [progress.done is None for progress in found.progress] == [False, False, False, True]


def test_a_problem_rests_after_its_visits():
    found = frontier(2**20)
    found.limits = Limits(60.0, visits=4)
    found.progress[0].whole = False
    assert found.is_waiting() and found.next_children(1)
    found.progress[0].visited = 4
    assert not found.is_waiting() and found.next_children(1) == []


def test_what_no_split_divides_says_why():
    for reason, told in (
        ("its program is too large", "its program is too large"),
        ("", "no neuron left to split, at a"),
    ):
        found = frontier(2**20, count=0)
        found.progress[0].whole = False
        found.add(Domain(0, (), -1.0, *NOTHING))
        found.add(Domain(0, (), -2.0, *NOTHING, reason=reason))
        found.account([Domain(0, (), -1.0, *NOTHING)], 0.0)
        assert found.progress[0].done is not None and told in found.progress[0].done
