"""Bounds of rows hold at points of their region and subdomain, for any splits, slopes, multipliers and weights."""

from fractions import Fraction

import numpy as np
import pytest

import float32_runs
from followed import drawn
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.exact_network import (
    exact_bound,
    exact_boxes,
    exact_network,
    fractions,
)
from glscert.verifier.check.network import INPUT
from glscert.verifier.check.questions import Asked, Clauses, Row
from glscert.verifier.check.rounding import REAL
from glscert.verifier.check.values import Leaf
from onnx_models import make, relu_layers


def asked(lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> Asked:
    """One clause of rows [M, K], with a factor of an input and an offset each."""
    own = tuple(
        Row(
            tuple((k, Fraction(float(c))) for k, c in enumerate(row)),
            Fraction(float(rng.normal())),
            ((int(rng.integers(len(lower))), Fraction(1, 3)),),
        ).scaled()
        for row in rows
    )
    clauses = Clauses((own,), len(lower), rows.shape[1])
    return Asked(lower, upper, lower, upper, lower, clauses, clauses.rows)


def path_through(checker: Checker, values: dict[int, np.ndarray], rng: np.random.Generator):
    """Splits near a run's own values, on the sides where it lies."""
    found = []
    for number, info in enumerate(checker.nodes):
        if not info.split or rng.random() < 0.3:
            continue
        for entry in rng.integers(0, info.entries, 2).tolist():
            z = float(values[checker.network.steps[checker.network.bends[number]].input][entry])
            point = 0.0 if rng.random() < 0.5 else float(z + 0.2 * rng.normal())
            found.append((number, entry, 0 if z >= point else 1, point))
    return tuple(found)


def leaf_for(region, path, rows: int, rng: np.random.Generator) -> Leaf:
    count = sum(len(entries) for _, entries in region.unstable(path))
    weights = tuple(int(w) for w in rng.integers(1, 65535, rows)) if rng.random() < 0.7 else ()
    multipliers = tuple(float(np.float32(m)) for m in rng.exponential(0.3, len(path)) * (rng.random(len(path)) < 0.7))
    slopes = bytes(rng.integers(0, 256, count, dtype=np.uint8).tolist())
    return Leaf(weights, slopes, multipliers if any(multipliers) else ())


def point_of(lower: np.ndarray, upper: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A float32 point of a box, often at its ends; None where there is none."""
    share = rng.choice([0.0, 1.0, rng.random()], lower.shape)
    x = np.float32(lower + (upper - lower) * share)
    x = np.where(x < lower, np.nextafter(x, np.float32(np.inf)), x)
    x = np.where(x > upper, np.nextafter(x, np.float32(-np.inf)), x)
    return x if ((lower <= x) & (x <= upper)).all() else None


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_rows_stay_above_their_bounds(graph_seed: int, rule: int) -> None:
    checker, lower, upper, rng = drawn(graph_seed)
    group = asked(lower, upper, rng.normal(size=(2, 2)), rng)
    region = checker.region(group, rule)
    for _ in range(4):
        x = point_of(lower, upper, rng)
        if x is None:
            continue
        values = float32_runs.run(checker.network, x, rng)
        path = path_through(checker, values, rng)
        leaf = leaf_for(region, path, 2, rng)
        (bound,) = region.bounds((0,), [(path, leaf)])
        own = [row.value(x.tolist(), values[checker.network.output].tolist()) for row in group.clauses.rows[0]]
        if leaf.weights:
            value = sum(w * v for w, v in zip(leaf.weights, own, strict=True)) / Fraction(sum(leaf.weights))
        else:
            value = max(*own, sum(own))
        assert bound <= value, (path, leaf)
        assert region.bounds((0,), [((), Leaf())])[0] <= max(*own, sum(own))


def dense_network(rng: np.random.Generator) -> Checker:
    nodes, consts = relu_layers(rng, 3, 5, 4, 2)
    return Checker(make(nodes, (1, 3), consts), str(rng.choice(["float32", "real"])))


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_bounds_are_a_little_below_those_in_fractions(network_seed: int, rule: int) -> None:
    rng = np.random.default_rng([network_seed, 3])
    checker = dense_network(rng)
    centre = rng.uniform(-1, 1, 3)
    lower, upper = centre - 0.2, centre + 0.2
    group = asked(lower, upper, rng.normal(size=(1, 2)), rng)
    (row,) = group.clauses.rows[0]
    network = exact_network(checker.network, checker.arithmetic)
    boxes = exact_boxes(network, lower, upper, rule)
    factors = np.array([dict(row.outputs)[k] for k in range(2)], object)
    of_input = fractions(np.zeros(3))
    for index, factor in row.inputs:
        of_input[index] = factor
    rows = {network.output: factors, INPUT: of_input}
    exact = exact_bound(boxes, rows, row.offset, closed=True)
    if rule:
        exact = max(exact, exact_bound(boxes, rows, row.offset))
    (found,) = checker.region(group, rule).bounds((0,), [((), Leaf())])
    scale = 1e-11 if checker.arithmetic == REAL else 1e-7
    assert found <= exact <= found + scale
    name = "real" if checker.arithmetic == REAL else "float32"
    (spared,) = Checker(checker.model, name, spare=1e-6).region(group, rule).bounds((0,), [((), Leaf())])
    assert 1e-8 < found - spared < 1e-3
