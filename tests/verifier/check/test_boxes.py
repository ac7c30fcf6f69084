"""Boxes and charges hold whatever a float32 runtime computes, node by node, in any order of summation."""

import numpy as np
import pytest

import float32_runs
from followed import drawn
from glscert.verifier.check.curves import Greatest, Unary
from glscert.verifier.check.regions import make_regions
from glscert.verifier.check.replay import evaluate
from glscert.verifier.check.rounding import REAL
from onnx_models import run_file


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
    checker, lower, upper, rng = drawn(graph_seed)
    x = np.float32(rng.uniform(lower, upper, (3, len(lower))))
    found = evaluate(checker.network, x)
    expected = run_file(checker.model, x.reshape(3, *checker.network.input_shape[1:]))
    np.testing.assert_allclose(found, expected.reshape(3, -1), rtol=2e-4, atol=2e-4)


def test_the_same_runs_leave_the_boxes_of_real_numbers() -> None:
    """So that the law above can tell."""
    left = 0
    for seed in range(60):
        checker, lower, upper, rng = drawn(seed)
        x = np.float32(lower / 2 + upper / 2).astype(np.float64)
        network, output = checker.network, checker.network.output
        boxes = make_regions(network, REAL, x[None], x[None], 0).boxes
        own = float32_runs.run(network, np.float32(x), rng)[output].astype(np.float64)
        left += not bool(((boxes.lower[output][0] <= own) & (own <= boxes.upper[output][0])).all())
    assert left > 40
