"""Which open subdomains are split next."""

import torch

from glscert.verifier.bounds import Box
from glscert.verifier.search.domains import Branch, Domain, Split
from glscert.verifier.search.frontier import Frontier, Limits
from glscert.verifier.search.problem import Problem


def frontier(memory, count=6):
    """One problem, its subdomains of depths 0, 1, … and bounds that get tighter the shallower they are."""
    box = Box(torch.zeros(1), torch.ones(1))
    found = Frontier([Problem(0, 0, box, torch.ones(1, 1), torch.zeros(1), {"a": box})], Limits(60.0, memory=memory), 1)
    for depth in range(count):
        splits = tuple(Split("a", 0, 1, 0.0) for _ in range(depth))
        domain = Domain(0, splits, -1.0 - depth, {}, {}, torch.ones(1), Branch("a", 0, 0.0))
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
