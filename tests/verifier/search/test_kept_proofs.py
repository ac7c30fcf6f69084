"""What a search kept of a proof is one: its leaves divide the whole region, and each is closed by a slow bound that
shares nothing with the search."""

from math import inf

import numpy as np
import pytest

from engine_cases import engine_case, preactivations, values_at
from glscert.verifier.answer.proof import SLOPE, Cleave, Leaf, NotKept, Tree
from glscert.verifier.engine.dual import Dual
from glscert.verifier.functions import Box
from glscert.verifier.search.domains import Domain, Split
from glscert.verifier.search.frontier import Limits
from glscert.verifier.search.kept_proofs import rounded
from glscert.verifier.search.problem import Problem
from glscert.verifier.search.search import Search
from reference import dense, relu_lines

# network, rows, seed, how far the least value lies above zero: so that a few splits prove it
SPLIT = (
    ("gemm_only", 1, 3, 0.1),
    ("gemm_only", 2, 3, 0.1),
    ("gemm_only", 3, 6, 0.6),
    ("dense_residual", 1, 3, 0.3),
    ("dense_residual", 2, 4, 0.3),
    ("pooled", 2, 4, 0.3),
)
MEMORY = 2**26


def proved(name, rows, seed, above, memory=MEMORY, rounds=100):
    """-> case, problem, its search once that is over."""
    case = engine_case(name, seed, batch=1, rows=rows, radius=0.5)
    lower, upper = (end[0] for end in case.box)
    points = lower + (upper - lower) * case.rng.random((4000, len(lower)))
    values = values_at(case, points[:, None])[case.engine.graph.output][:, 0]
    shift = above - (values @ case.spec.rows[0].T + case.spec.offset[0]).max(1).min()
    pre = {n: Box(box.lower[0], box.upper[0]) for n, box in preactivations(case.engine, case.anchor).items()}
    problem = Problem(0, 7, Box(lower, upper), case.spec.rows[0], case.spec.offset[0] + shift, pre)
    search = Search(case.engine, [problem], Limits(1e9, batch=16, proofs=memory))
    for _ in range(rounds):
        if not search.is_open():
            break
        search.run_round()
    return case, problem, search


def leaves(tree):
    """-> (the splits on the way as (bend, entry, side, point), leaf) of each, in order."""
    waiting, found = [()], []
    for node in tree.nodes:
        path = waiting.pop()
        if isinstance(node, Leaf):
            found.append((path, node))
        else:
            waiting += [(*path, (node.bend, node.entry, side, node.point)) for side in (-1, 1)]
    assert not waiting
    return found


def slow_bound(case, problem, tree, path, leaf):
    """Of the sum of the rows by the leaf's weights, over the boxes of the problem that the path cuts."""
    engine, graph = case.engine, case.engine.graph
    network, names = dense(graph, engine.params), list(engine.bends)
    ends = {name: [end.copy() for end in problem.pre[name]] for name in names}
    slopes = {name: np.zeros(len(ends[name][0])) for name in names}
    place = np.cumsum([0, *(len(slopes[name]) for name in names)])
    for neuron, slope in zip(tree.neurons, leaf.slopes, strict=True):
        bend = np.searchsorted(place, neuron, side="right") - 1
        slopes[names[bend]][neuron - place[bend]] = slope / SLOPE
    extra, bound = {name: np.zeros_like(slopes[name]) for name in names}, 0.0
    for (bend, entry, side, point), multiplier in zip(path, leaf.multipliers, strict=True):
        low, high = ends[names[bend]]
        low[entry], high[entry] = (
            (max(low[entry], point), high[entry]) if side > 0 else (low[entry], min(high[entry], point))
        )
        extra[names[bend]][entry] -= (
            side * multiplier
        )  # row - multiplier * side * (z - point), which is no more than row
        bound += side * multiplier * point
    weights = np.array(leaf.weights or (1,), float) / sum(leaf.weights or (1,))
    row = weights @ problem.rows
    bound += weights @ problem.offset
    waiting = {graph.output: row}
    for node in reversed(graph.nodes):
        if node.output not in waiting:
            continue
        a = waiting.pop(node.output)
        if node.op == "Relu":
            name = node.inputs[0]
            lower, upper, start = relu_lines(*ends[name], slopes[name])
            bound += np.minimum(a, 0) @ start
            terms = [np.maximum(a, 0) * lower + np.minimum(a, 0) * upper + extra[name]]
            extra[name] = np.zeros_like(extra[name])
        else:
            form = network.forms[node.output]
            bound += a @ form.bias
            terms = [a @ matrix for matrix in form.matrices]
        for name, term in zip(node.inputs, terms, strict=True):
            waiting[name] = waiting.get(name, 0.0) + term
    a = waiting[graph.input]
    return bound + np.maximum(a, 0) @ problem.box.lower + np.minimum(a, 0) @ problem.box.upper


@pytest.mark.parametrize("chosen", SPLIT)
def test_every_leaf_is_closed_by_a_slow_bound(chosen):
    case, problem, search = proved(*chosen)
    assert search.progress[0].done == ""
    tree = search.proofs.tree(0, problem.number)
    assert isinstance(tree, Tree) and tree.clauses == (7,) and not tree.refined
    found = leaves(tree)
    assert len(found) > 1
    for path, leaf in found:
        assert slow_bound(case, problem, tree, path, leaf) > 0


@pytest.mark.parametrize("chosen", SPLIT)
def test_leaves_divide_the_region(chosen):
    """Every point lies in a leaf, and both sides of every split are there."""
    case, problem, search = proved(*chosen)
    found = leaves(search.proofs.tree(0, 0))
    lower, upper = problem.box
    values = values_at(case, (lower + (upper - lower) * case.rng.random((500, len(lower))))[:, None])
    inside = np.zeros(500, bool)
    for path, _ in found:
        here = np.ones(500, bool)
        for bend, entry, side, point in path:
            here &= side * (values[list(case.engine.bends)[bend]][:, 0, entry] - point) >= 0
        inside |= here
    assert inside.all()


def test_more_than_the_memory_is_not_kept():
    _, _, search = proved(*SPLIT[1], memory=200)
    assert search.progress[0].done == ""
    assert isinstance(search.proofs.tree(0, 0), NotKept) and "--memory" in search.proofs.tree(0, 0).reason


def test_nothing_is_kept_unless_it_is_asked_for():
    case = engine_case("gemm_only", 3, batch=1)
    assert Search(case.engine, [], Limits(1e9)).proofs is None


def test_rounded_numbers_are_those_of_the_format():
    rng = np.random.default_rng(0)
    dual = Dual({"a": rng.random((3, 1, 5))}, {"a": rng.normal(size=(3, 1, 5))}, 3 * rng.random((3, 2)))
    found = rounded(dual)
    np.testing.assert_array_equal(found.slopes["a"] * SLOPE, np.rint(found.slopes["a"] * SLOPE))
    np.testing.assert_allclose(found.slopes["a"], dual.slopes["a"], atol=0.5 / SLOPE)
    whole = dual.weights.sum(1)
    np.testing.assert_allclose(found.weights, dual.weights / whole[:, None], atol=1e-4)
    np.testing.assert_allclose(found.weights.sum(1), 1)
    np.testing.assert_allclose(found.multipliers["a"], dual.multipliers["a"] / whole[:, None, None], rtol=1e-6)
    assert (found.multipliers["a"].astype(np.float32) == found.multipliers["a"]).all()


def test_a_multiplier_belongs_to_the_last_split_of_its_side():
    _, problem, search = proved(*SPLIT[1])
    name = next(iter(search.engine.bends))
    zero = {n: np.zeros((1, 1, bend.size)) for n, bend in search.engine.bends.items()}
    multipliers = {n: value.copy() for n, value in zero.items()}
    multipliers[name][0, 0, 0] = -2.0  # of the lower end
    none = np.zeros(0, np.float32)
    splits = Split(name, 0, 1, -1.0), Split(name, 0, -1, 1.0), Split(name, 0, 1, 0.5)
    domain = Domain(0, splits, -inf, none, none, none)
    search.proofs.restart(0, np.arange(2))
    search.proofs.close(domain, Dual(zero, multipliers, np.ones((1, 2)) / 2), 0, 2)
    tree = search.proofs._leaves[0][domain.splits]
    assert tree.multipliers == (0.0, 0.0, 2.0) and len(tree.slopes) == 2


def test_a_search_that_begins_anew_forgets_its_leaves():
    _, problem, search = proved(*SPLIT[1], rounds=0)
    search.restart(0, dict(problem.pre))
    while search.is_open():
        search.run_round()
    tree = search.proofs.tree(0, 0)
    assert tree.refined and sum(isinstance(node, Leaf) for node in tree.nodes) == 1 + sum(
        isinstance(node, Cleave) for node in tree.nodes
    )
