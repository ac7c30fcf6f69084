"""What input splitting kept is a proof: its boxes fill the region, lines are positive on what is cut away and on every
box that is closed."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in, values_at
from glscert.verifier.answer.proof import Closed, Halve, Narrow, NotKept, Tree
from glscert.verifier.functions import Box
from glscert.verifier.search.clauses import Group
from glscert.verifier.search.input_splitting import InputSplitting
from reference import deeppoly, dense

CASES = (("gemm_only", 3), ("dense_residual", 4), ("final_relu", 5))
MEMORY = 2**26


def split(name, seed, memory=MEMORY, above=0.05):
    """-> case, its one group of two clauses, each of two rows, and the search that closed it."""
    case = engine_case(name, seed, batch=1, rows=4, radius=0.6)
    values = values_at(case, points_in(case.box, case.rng, 3000))[case.engine.graph.output][:, 0]
    rows, offset = case.spec.rows[0].reshape(2, 2, -1), case.spec.offset[0].reshape(2, 2)
    reached = (np.einsum("cmk,sk->scm", rows, values) + offset).max(2).min(0)
    offset = offset + (above - reached)[:, None]
    box = Box(*(end[0] for end in case.box))
    group = Group((), box, box, rows, offset, (), np.ones(2, bool), (None, None))
    search = InputSplitting(
        case.engine, [group], [0], batch=64, most=10**6, memory=2**28, stop=lambda: False, proofs=memory
    )
    for _ in range(400):
        if len(search.open) == 0:
            break
        search.run_round()
    assert len(search.open) == 0 and not search.stuck
    return case, group, search


def bounds(case, group, lower, upper):
    """DeepPoly's of the rows [C, M], on a box."""
    network = dense(case.engine.graph, case.engine.params)
    rows = group.rows.reshape(4, -1)
    return deeppoly(network, lower, upper, rows, group.offset.ravel())[0].reshape(2, 2)


def boxes(case, group, tree):
    """Walks the tree -> its closed boxes, each with the clauses that were open there."""
    waiting, closed = [(*(end.copy() for end in group.proof), {0, 1})], []
    for node in tree.nodes:
        lower, upper, still = waiting.pop()
        if isinstance(node, Closed):
            closed.append((lower, upper, still))
            continue
        if isinstance(node, Narrow) or node.closing:
            positive = (bounds(case, group, lower, upper) > 0).any(1)
            still = {clause for clause in still if not positive[clause]}
        if isinstance(node, Narrow):
            for entry, side, end in node.ends:
                away = Box(lower.copy(), upper.copy())
                away[1 - side][entry] = end
                some = points_in(Box(away.lower[None], away.upper[None]), case.rng, 50)
                values = values_at(case, some)[case.engine.graph.output][:, 0]
                held = (np.einsum("cmk,sk->scm", group.rows, values) + group.offset).max(2)
                assert (held[:, sorted(still)] > 0).all()
            for entry, side, end in node.ends:
                (lower, upper)[side][entry] = end
            waiting.append((lower, upper, still))
            continue
        assert isinstance(node, Halve)
        for end in (1, 0):  # what is waiting last comes next: x >= point
            part = lower.copy(), upper.copy()
            part[end][node.entry] = node.point
            assert (part[0] <= part[1]).all()
            waiting.append((*part, still))
    assert not waiting
    return closed


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_tree_closes_every_clause_everywhere(name, seed):
    case, group, search = split(name, seed)
    tree = search.proofs.tree(0)
    assert isinstance(tree, Tree) and tree.clauses == (0, 1)
    closed = boxes(case, group, tree)
    assert len(closed) > 1
    for lower, upper, still in closed:
        assert (bounds(case, group, lower, upper) > 0).any(1)[sorted(still)].all()


def test_more_than_the_memory_is_not_kept():
    _, _, search = split(*CASES[0], memory=600)
    assert isinstance(search.proofs.tree(0), NotKept)


def test_what_exact_arithmetic_closed_is_not_kept():
    _, _, search = split(*CASES[0])
    search.proofs.lose([0], "of the reason that is given")
    assert search.proofs.tree(0) == NotKept("of the reason that is given")
