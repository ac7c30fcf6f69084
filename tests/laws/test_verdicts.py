"""Verdicts from the ONNX file alone against the exact answer of a mixed-integer program on small random networks."""

import numpy as np
import pytest
import torch

from cases import make_case, numpy_params
from exact import least
from glscert.export.onnx import onnx_bytes
from glscert.verifier import Verdict, load, robustness
from reference import dense, forward

# Small enough for a mixed-integer program to answer at once.
NETWORKS = ("gemm_only", "skipped_pixels", "normalised", "dense_residual", "reshaped", "final_relu", "relu_on_input")
CASES = [(name, eps) for name in NETWORKS for eps in (0.02, 0.1, 0.3)] + [("conv_chain", 0.02), ("odd_conv", 0.1)]
IMAGES = 6
LOW, HIGH = -1.0, 1.0
CLOSE = 1e-4  # a margin so near to zero is left to either side


def loaded(name, folder):
    case = make_case(name, 90, dtype=torch.float32)
    path = folder / "model.onnx"
    path.write_bytes(onnx_bytes(case.graph, {key: tensor.numpy() for key, tensor in case.params.items()}, {}))
    return case, load(path)


def exact_margin(network, x, label, eps):
    """min over the ball and j != label of y_label - y_j."""
    lower = np.maximum(x.astype(np.float64) - eps, LOW)
    upper = np.minimum(x.astype(np.float64) + eps, HIGH)
    eye = np.eye(network.graph.output_shape[0])
    return min(least(network, lower, upper, eye[label] - row)[0] for j, row in enumerate(eye) if j != label)


@pytest.mark.parametrize("name, eps", CASES)
def test_verdicts_are_the_exact_ones(name, eps, tmp_path):
    case, asked = loaded(name, tmp_path)
    params = numpy_params(case)
    x = np.random.default_rng(91).uniform(-1, 1, size=(IMAGES, *case.graph.input_shape)).astype(np.float32)
    y = forward(case.graph, params, x)[case.graph.output].argmax(1)
    y[-1] = (y[-1] + 1) % case.graph.output_shape[0]  # one label is wrong

    network, decided = dense(case.graph, params), 0
    for image, label, answer in zip(x, y, robustness(asked, x, y, eps, low=LOW, high=HIGH, timeout=20), strict=True):
        margin = exact_margin(network, image, label, eps)
        if answer.verdict is Verdict.VERIFIED:
            assert margin > -CLOSE
            assert answer.margin <= margin + CLOSE
        elif answer.verdict is Verdict.FALSIFIED:
            assert margin < CLOSE
            point = answer.witness.x.astype(np.float64)
            assert np.abs(point - image.astype(np.float64)).max() <= eps
            assert point.min() >= LOW
            assert point.max() <= HIGH
            scores = forward(case.graph, params, point[None])[case.graph.output][0]
            assert scores[label] <= np.delete(scores, label).max() + CLOSE
        elif answer.verdict is Verdict.MISCLASSIFIED:
            assert label == y[-1]
        else:
            assert abs(margin) < CLOSE, f"left undecided ({answer.reason}) though its margin is {margin:.3g}"
        decided += answer.verdict not in (Verdict.UNKNOWN, Verdict.TIMEOUT)
    assert decided >= IMAGES - 1


@pytest.mark.parametrize("name", ("gemm_only", "reshaped", "relu_on_input", "skipped_pixels", "affine_only"))
def test_the_exact_answer_lies_between_bound_and_samples(name):
    """The oracle's own footing."""
    case = make_case(name, 92, batch=1)
    network = dense(case.graph, numpy_params(case))
    lower, upper = (end[0].numpy() for end in case.box)
    row = case.spec.rows[0, 0].numpy()
    value, point = least(network, lower, upper, row)
    reached = forward(case.graph, numpy_params(case), point[None])[case.graph.output][0] @ row
    assert abs(reached - value) < 1e-5
    samples = np.random.default_rng(93).uniform(lower, upper, size=(500, *lower.shape))
    assert (forward(case.graph, numpy_params(case), samples)[case.graph.output] @ row).min() >= value - 1e-6
