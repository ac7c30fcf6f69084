"""Boxes and charges hold whatever a float32 runtime computes, node by node, in any order of summation."""

import numpy as np
import pytest

import float32_runs
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.curves import Greatest, Unary
from glscert.verifier.check.network import INPUT
from glscert.verifier.check.operators import OPERATORS
from glscert.verifier.check.moves import MOVES
from glscert.verifier.check.refusal import NotCovered
from glscert.verifier.check.regions import make_regions
from onnx_models import run_file
from random_models import random_model

KNOWN = {*OPERATORS, *MOVES}


def drawn(seed: int) -> tuple[Checker, np.ndarray, np.ndarray, np.random.Generator]:
    """A network of operators that the checker follows, and a box."""
    rng = np.random.default_rng([seed, 77])
    while True:
        proto = random_model(rng, KNOWN, 2)
        try:
            checker = Checker(proto)
        except NotCovered:
            continue
        centre = rng.uniform(-1, 1, checker.network.sizes[INPUT])
        radius = rng.choice([0.0, 1e-3, 0.1, 1.0]) * rng.uniform(0, 1, centre.shape)
        return checker, centre - radius, centre + radius, rng


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_every_tensor_lies_in_its_box(graph_seed: int, rule: int) -> None:
    checker, lower, upper, rng = drawn(graph_seed)
    boxes = make_regions(checker.network, checker.arithmetic, lower[None], upper[None], rule).boxes
    assert boxes.valid.all()
    for number in range(4):
        x = (lower + (upper - lower) * rng.integers(0, 2, lower.shape)) if number else (lower + upper) / 2
        x = np.float32(x)
        x = np.where(x < lower, np.nextafter(x, np.float32(np.inf)), x)
        x = np.where(x > upper, np.nextafter(x, np.float32(-np.inf)), x)
        if not ((lower <= x) & (x <= upper)).all():
            continue  # no float32 number lies there
        values = float32_runs.run(checker.network, x, rng)
        for step in checker.network.steps:
            own = values[step.output].astype(np.float64)
            assert (boxes.lower[step.output][0] <= own).all() and (own <= boxes.upper[step.output][0]).all(), step
            if not isinstance(step, Unary | Greatest) and step.output in boxes.charge:
                off = np.abs(own - values[-step.output])
                assert (off <= boxes.charge[step.output][0]).all(), (step, off.max())


def test_evaluation_is_onnxruntimes(graph_seed: int) -> None:
    from glscert.verifier.check.replay import evaluate

    checker, lower, upper, rng = drawn(graph_seed)
    x = np.float32(rng.uniform(lower, upper, (3, len(lower))))
    shape = [
        1 if not isinstance(d.dim_value, int) or d.dim_value == 0 else d.dim_value
        for d in checker.model.graph.input[0].type.tensor_type.shape.dim
    ]
    found = evaluate(checker.network, x)
    expected = run_file(checker.model, x.reshape(3, *shape[1:]))
    np.testing.assert_allclose(found, expected.reshape(3, -1), rtol=2e-4, atol=2e-4)
