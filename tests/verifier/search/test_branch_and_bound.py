"""The frontier while it is split: no bound above a sample or below its parent's, no broken point in a closed part."""

import numpy as np
import pytest

from engine_cases import engine_case, preactivations, values_at
from glscert.verifier.functions import Box
from glscert.verifier.search.branching import BRANCHING
from glscert.verifier.search.frontier import Limits
from glscert.verifier.search.problem import Problem
from glscert.verifier.search.search import Search
from random_graphs import CURVED

NETWORKS = ("gemm_only", "dense_residual", "pooled", *CURVED)
ROUNDS = 12


def searched(name, seed, above, branching="filtered"):
    """-> the search over one clause whose least value, among samples, lies `above` zero; samples and their rows."""
    case = engine_case(name, seed, batch=1, rows=2, radius=0.6)
    lower, upper = (end[0] for end in case.box)
    points = lower + (upper - lower) * case.rng.random((4000, len(lower)))
    values = {name: value[:, 0] for name, value in values_at(case, points[:, None]).items()}
    rows = (values[case.engine.graph.output] @ case.spec.rows[0].T + case.spec.offset[0]).max(1)
    pre = {n: Box(box.lower[0], box.upper[0]) for n, box in preactivations(case.engine, case.anchor).items()}
    shift = above - rows.min()
    problem = Problem(0, 0, Box(lower, upper), case.spec.rows[0], case.spec.offset[0] + shift, pre)
    return Search(case.engine, [problem], Limits(1e9, batch=16, branching=branching)), values, rows + shift


def inside(domain, values):
    """Which samples lie in the domain."""
    here = np.ones(len(next(iter(values.values()))), bool)
    for name, neuron, side, point in domain.splits:
        here &= side * (values[name][:, neuron] - point) >= 0
    return here


CHOSEN = [(name, "filtered") for name in NETWORKS] + [(NETWORKS[0], rule) for rule in BRANCHING if rule != "filtered"]


@pytest.mark.parametrize("above", (-0.05, 0.02))
@pytest.mark.parametrize(("name", "branching"), CHOSEN)
def test_bounds_of_parts_are_sound_and_never_loosen(name, branching, above):
    search, values, rows = searched(name, 70, above, branching)
    bounds = {}
    for _ in range(ROUNDS):
        if not search.is_open():
            break
        search.run_round()
        for domain in search.progress[0].open:
            bounds[domain.splits] = domain.bound
            here = inside(domain, values)
            assert not here.any() or rows[here].min() >= domain.bound - 1e-4  # bounds of open parts are float32's
            if domain.splits[:-1] in bounds:
                assert domain.bound >= bounds[domain.splits[:-1]]
    assert len(bounds) > 1 or not search.is_open()


@pytest.mark.parametrize("name", NETWORKS)
def test_broken_points_stay_in_open_parts(name):
    search, values, rows = searched(name, 71, -0.02)
    broken = rows <= 0
    assert broken.any()
    for _ in range(ROUNDS):
        search.run_round()
        if not search.is_open():
            break
        if search.progress[0].whole:  # it begins anew, with tighter boxes
            continue
        parts = [*search.progress[0].open, *search.progress[0].over]
        covered = np.any([inside(domain, values) for domain in parts], 0)
        assert covered[broken].all()
    assert search.progress[0].done != ""


@pytest.mark.parametrize("name", ("gemm_only", "dense_residual", "pooled"))
def test_beginning_anew_with_tighter_boxes_loses_no_broken_point(name):
    search, values, rows = searched(name, 71, -0.001)
    first, anew = search.problems[0].pre, 0
    for _ in range(8 * ROUNDS):
        if not search.is_open():
            break
        search.run_round()
        anew += search.progress[0].whole
        for value, (lower, upper) in search.problems[0].pre.items():
            assert (values[value] >= lower - 1e-9).all() and (values[value] <= upper + 1e-9).all()
    assert anew and search.problems[0].pre is not first
    assert (rows <= 0).any() and search.progress[0].done != ""


@pytest.mark.parametrize("name", CURVED)
def test_a_smooth_neuron_is_split_again_and_again(name):
    search, _, _ = searched(name, 70, -0.05)
    points, again = 0, 0
    for _ in range(3 * ROUNDS):
        search.run_round()
        paths = [domain.splits for domain in search.progress[0].open]
        points = len({split.point for path in paths for split in path})
        again = max((len(path) - len({split[:2] for split in path}) for path in paths), default=0)
        if points > 1 and again > 0:
            break
    assert points > 1 and again > 0
