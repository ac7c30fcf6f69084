"""Rules of branching: they choose what can be split, and in the order that they promise."""

import numpy as np
import pytest

from engine_cases import engine_case, preactivations
from glscert.verifier.engine.dual import Cuts, dual_bounds, start_dual
from glscert.verifier.engine.impact import split_impact
from glscert.verifier.functions import Box
from glscert.verifier.search.branch_and_bound import BranchAndBound
from glscert.verifier.search.branching import BRANCHING, Undivided
from glscert.verifier.search.branching.base import highest
from glscert.verifier.search.frontier import Limits
from glscert.verifier.search.problem import Batch, Problem

NETWORKS = ("gemm_only", "dense_residual", "pooled", "sigmoids")


def undivided(name, seed=4):
    case = engine_case(name, seed, batch=5, rows=1, radius=0.6)
    pre = preactivations(case.engine, case.anchor)
    cuts = {each: Cuts(*(np.zeros(end.shape, bool) for end in box)) for each, box in pre.items()}
    dual = start_dual(case.engine, pre, 1)._replace(weights=np.ones((5, 1)))
    seen = dual_bounds(case.engine, case.spec, pre, dual, cuts, case.anchor, look=True)
    impact = split_impact(case.engine, pre, dual, seen.shown().met)
    work = Batch(case.engine, case.anchor, case.spec, pre)
    return Undivided(work, pre, cuts, dual, np.concatenate(list(impact.values()), 1), seen.bound[:, 0])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", BRANCHING)
def test_a_neuron_that_can_be_split_or_none(rule, name):
    asked = undivided(name)
    asked.impact[1] = -np.inf
    asked.impact[2, 1:] = -np.inf
    asked.impact[2, 0] = 1.0
    chosen = BRANCHING[rule](asked)
    assert chosen[1] == -1 and chosen[2] == 0
    assert (asked.impact[[0, 3, 4], chosen[[0, 3, 4]]] > -np.inf).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_babsr_takes_the_highest_impact(name):
    asked = undivided(name)
    assert (BRANCHING["babsr"](asked) == asked.impact.argmax(1)).all()


@pytest.mark.parametrize("name", ("gemm_only", "dense_residual", "pooled"))
def test_filtered_takes_the_candidate_with_the_best_children(name):
    asked = undivided(name)
    chosen = BRANCHING["filtered"](asked)
    for row, top in enumerate(np.argsort(-asked.impact, 1)[:, :4]):
        values = [worth(asked, row, neuron) for neuron in top]
        assert values[top.tolist().index(chosen[row])] >= max(values) - 1e-9


def worth(asked, row, neuron):
    """Of a split, by the bounds of boxes that are cut by hand."""
    sides = []
    for side in (0, 1):
        boxes, cuts, at = {}, {}, neuron
        for name, box in asked.pre.items():
            ends, moved = [end[[row]].copy() for end in box], [end[[row]].copy() for end in asked.cuts[name]]
            if 0 <= at < box.lower.shape[1]:
                ends[side][0, at], moved[side][0, at] = 0.0, True
            boxes[name], cuts[name], at = Box(*ends), Cuts(*moved), at - box.lower.shape[1]
        work, own = asked.work, [row]
        dual = asked.dual._replace(
            slopes={name: slope[own] for name, slope in asked.dual.slopes.items()},
            multipliers={name: value[own] for name, value in asked.dual.multipliers.items()},
            weights=asked.dual.weights[own],
        )
        spec = work.spec._replace(rows=work.spec.rows[own], offset=work.spec.offset[own])
        sides.append(dual_bounds(work.engine, spec, boxes, dual, cuts, work.anchor.take(own)).bound[0, 0])
    return min(sides) + 0.1 * min(max(sides), 0)


def test_the_highest_come_in_order_and_what_is_no_number_counts_as_nothing():
    scores = np.array([[1.0, 3.0, -np.inf, 2.0], [-np.inf] * 4, [np.nan, 1.0, -np.inf, -np.inf]])
    assert highest(scores, 3).tolist() == [[1, 3, 0], [-1, -1, -1], [-1, 1, -1]]
    assert highest(np.zeros((2, 0)), 3).tolist() == [[-1], [-1]]


def test_a_search_goes_by_the_rule_that_it_is_given(monkeypatch):
    asked = undivided("gemm_only")
    pre = {name: Box(box.lower[0], box.upper[0]) for name, box in asked.pre.items()}
    box, (rows, offset) = asked.work.anchor.box, asked.work.spec
    problem = Problem(0, 0, Box(box.lower[0], box.upper[0]), rows[0], offset[0] - asked.known[0] - 1.0, pre)
    unstable = np.concatenate([(box.lower < 0) & (box.upper > 0) for box in pre.values()])

    def last(undivided):
        return np.full(len(undivided.known), np.flatnonzero(unstable)[-1])

    monkeypatch.setitem(BRANCHING, "last", last)
    search = BranchAndBound(asked.work.engine, [problem], Limits(1.0, branching="last"))
    search.run_round()
    name, neuron, _ = search.progress[0].open[0].branch
    assert name == list(pre)[-1] and neuron == np.flatnonzero((pre[name].lower < 0) & (pre[name].upper > 0))[-1]
