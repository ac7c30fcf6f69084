"""A runtime may fold what follows a product into it, factors into weights, summands into the bias; boxes hold that."""

import numpy as np
import pytest

import float32_runs
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.regions import make_regions
from onnx_models import make, node

F = np.float32


def batch_norm(parts: list[np.ndarray], epsilon: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Factor and summand, computed in float32."""
    scale, shift, mean, variance = parts
    factor = (scale / np.sqrt(variance + epsilon)).astype(F)
    return factor, (shift - factor * mean).astype(F)


@pytest.mark.parametrize("seed", range(60))
def test_folded_products_lie_in_the_boxes(seed: int) -> None:
    """A product, then normalisations, factors and summands, as one product in float32; values cancel in between."""
    rng = np.random.default_rng([seed, 21])
    inputs, outputs = int(rng.integers(1, 30)), 3
    weights, bias = rng.normal(size=(inputs, outputs)).astype(F), rng.normal(size=outputs).astype(F)
    x = rng.normal(size=inputs).astype(F)
    consts, nodes, last = {"W": weights, "b": bias}, [node("Gemm", "x W b", "v0")], 0
    for _ in range(int(rng.integers(1, 5))):
        name, value = f"c{last}", rng.normal(size=outputs).astype(F) * F(rng.choice([1, 1e3, 1e-3]))
        at, to = f"v{last}", f"v{last + 1}"
        match int(rng.integers(4)):
            case 0:
                centre = weights.T @ x + bias  # so that it cancels
                parts = [rng.normal(size=outputs).astype(F) for _ in range(2)] + [centre, rng.random(outputs).astype(F)]
                consts.update({f"{name}_{k}": part for k, part in enumerate(parts)})
                nodes.append(node("BatchNormalization", " ".join([at, *(f"{name}_{k}" for k in range(4))]), to))
                factor, summand = batch_norm(parts, F(1e-5))
            case 1:
                nodes.append(node("Mul", f"{at} {name}", to))
                factor, summand = value, np.zeros(outputs, F)
            case 2:
                nodes.append(node("Add", f"{name} {at}", to))
                factor, summand = np.ones(outputs, F), value
            case _:
                nodes.append(node("Sub", f"{at} {name}", to))
                factor, summand = np.ones(outputs, F), -value
        consts[name] = value
        weights, bias = (weights * factor).astype(F), (bias * factor + summand).astype(F)
        last += 1
    used = {name for own in nodes for name in own.input}
    model = make(
        [*nodes, node("Identity", f"v{last}", "y")], (1, inputs), {k: v for k, v in consts.items() if k in used}
    )
    network = Checker(model).network
    boxes = make_regions(network, Checker(model).arithmetic, x[None], x[None], 0).boxes
    assert boxes.valid.all()
    lower, upper = boxes.lower[network.output][0], boxes.upper[network.output][0]
    for number in range(outputs):
        for _ in range(20):
            terms = [(weights[k, number], x[k]) for k in rng.permutation(inputs)]
            found = float(float32_runs.summed(terms, bias[number], rng, bool(rng.random() < 0.5), False))
            assert lower[number] <= found <= upper[number]
