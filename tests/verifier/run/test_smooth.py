"""Decisions on tiny networks of smooth activations against a grid, whose error a Lipschitz constant bounds."""

import numpy as np
import pytest
from scipy import special

from clauses import clause
from glscert.verifier import Verdict, load, verify
from glscert.verifier.run import question
from glscert.verifier.spec import Query
from onnx_models import make, node

STEPS = 400  # of the grid in each direction
CURVES = {  # f, its steepest slope, the size of the weights before it: tanh(z) = 2 sigmoid(2 z) - 1
    "Sigmoid": (lambda z: 1 / (1 + np.exp(-z)), 0.25, 1.5),
    "Tanh": (np.tanh, 1.0, 0.75),
    "Elu": (lambda z: np.where(z > 0, z, np.expm1(z)), 1.0, 1.5),
    "Erf": (special.erf, 1.1284, 0.75),
    "Gelu": (lambda z: z * special.erfc(-z / np.sqrt(2)) / 2, 1.129, 1.5),
    "Mish": (lambda z: z * np.tanh(np.logaddexp(z, 0)), 1.089, 1.5),
    "Softsign": (lambda z: z / (1 + np.abs(z)), 1.0, 1.0),
}
SEEDS = {"Gelu": 4, "Sigmoid": 8, "Tanh": 8}


@pytest.fixture(autouse=True)
def split_neurons(monkeypatch):
    """Two inputs would be split themselves."""
    monkeypatch.setattr(question, "FEW_INPUTS", 0)


def curved_network(path, kind, weight, bias, last):
    """y = last · f(weight · x + bias)"""
    consts = {"w": np.float32(weight.T), "b": np.float32(bias), "v": np.float32(last.T)}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node(kind, "a", "r"), node("MatMul", "r v", "y")]
    path.write_bytes(make(nodes, ("batch", 2), consts, opset=20).SerializeToString())
    return load(path)


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in CURVES for seed in range(SEEDS.get(kind, 2))])
def test_equals_the_grid_with_its_error(tmp_path, kind, seed):
    rng = np.random.default_rng(seed)
    curve, steepest, scale = CURVES[kind]
    sizes = ((scale, (4, 2)), (scale / 1.5, 4), (1, (3, 4)))
    weight, bias, last = (np.float64(np.float32(each * rng.normal(size=size))) for each, size in sizes)
    network = curved_network(tmp_path / "net.onnx", kind, weight, bias, last)
    lower = np.float64(np.float32(rng.uniform(-1, 0, 2)))
    upper = lower + np.float64(np.float32(rng.uniform(0.5, 1, 2)))
    axes = [np.linspace(*ends, STEPS + 1) for ends in zip(lower, upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
    outputs = curve(grid @ weight.T + bias) @ last.T
    for count in (1, 2):
        factors = np.float64(np.float32(rng.normal(size=(count, 3))))
        level = (outputs @ factors.T).max(1).min()  # the least value of the largest row on the grid, and how far off:
        error = (steepest * np.abs(factors @ last) @ np.abs(weight)).max(0) @ (upper - lower) / (2 * STEPS)
        for gap in (0.05, -0.02):
            shift = np.float64(np.float32(gap + (error if gap > 0 else 0) - level))
            query = Query(2, 3, (clause(lower, upper, [(f, shift) for f in factors]),))
            answer = verify(network, query, timeout=20)
            assert answer.verdict is (Verdict.VERIFIED if gap > 0 else Verdict.FALSIFIED), (gap, answer)
