"""Smooth activations are found where exporters write them as products and quotients, with the file's own factors."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from scipy import special

from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph.load import from_proto
from onnx_models import make, node, run_file, run_loaded

X = np.linspace(-4, 4, 42, dtype=np.float32).reshape(7, 6)
Z = X.astype(np.float64)


def f32(value: float) -> np.float32:
    return np.float32(value)


def network(*nodes: onnx.NodeProto, **consts: float) -> onnx.ModelProto:
    return make(nodes, ("b", 6), {name: f32(value) for name, value in consts.items()})


def normal_share(z: np.ndarray) -> np.ndarray:
    return special.erfc(-z) / 2


ROOT, HALF_ROOT, K, C = f32(np.sqrt(2)), f32(np.sqrt(0.5)), f32(np.sqrt(2 / np.pi)), f32(0.044715)
INNER = float(K) * (Z + float(C) * Z**3)
CUBE = (node("Pow", "x three", "p"), node("Mul", "c p", "q"), node("Add", "x q", "s"), node("Mul", "k s", "u"))
BY_TANH = {"three": 3, "c": C, "k": K, "one": 1, "half": 0.5}

# What exporters write, the canonical curve in it, and its value by the file's own numbers.
FORMS: dict[str, tuple[Callable[[], onnx.ModelProto], str, np.ndarray]] = {
    "gelu of torch": (
        lambda: network(
            node("Div", "x r", "d"), node("Erf", "d", "e"), node("Add", "e one", "a"), node("Mul", "x a", "m"),
            node("Mul", "m half", "y"), r=ROOT, one=1, half=0.5,
        ),
        "Gelu",
        Z * normal_share(Z / float(ROOT)),
    ),
    "gelu, halved first": (
        lambda: network(
            node("Mul", "half x", "h"), node("Mul", "x r", "d"), node("Erf", "d", "e"), node("Add", "one e", "a"),
            node("Mul", "a h", "y"), r=HALF_ROOT, one=1, half=0.5,
        ),
        "Gelu",
        Z * normal_share(Z * float(HALF_ROOT)),
    ),
    "gelu, halved inside": (
        lambda: network(
            node("Mul", "x r", "d"), node("Erf", "d", "e"), node("Mul", "e half", "h"), node("Add", "h half", "a"),
            node("Mul", "a x", "y"), r=HALF_ROOT, half=0.5,
        ),
        "Gelu",
        Z * normal_share(Z * float(HALF_ROOT)),
    ),
    "gelu by tanh": (
        lambda: network(
            *CUBE, node("Tanh", "u", "t"), node("Add", "one t", "a"), node("Mul", "half x", "h"),
            node("Mul", "h a", "y"), **BY_TANH,
        ),
        "GeluTanh",
        Z * special.expit(2 * INNER),
    ),
    "gelu by tanh, by squares": (
        lambda: network(
            node("Mul", "x x", "p"), node("Mul", "p c", "q"), node("Add", "q one", "s"), node("Mul", "x k", "v"),
            node("Mul", "v s", "u"), node("Tanh", "u", "t"), node("Add", "t one", "a"), node("Mul", "x a", "m"),
            node("Mul", "m half", "y"), c=C, k=K, one=1, half=0.5,
        ),
        "GeluTanh",
        Z * special.expit(2 * INNER),
    ),
    "gelu by tanh, by products": (
        lambda: network(
            node("Mul", "x x", "p"), node("Mul", "x p", "w"), node("Mul", "c w", "q"), node("Add", "x q", "s"),
            node("Mul", "k s", "u"), node("Tanh", "u", "t"), node("Add", "t one", "a"), node("Mul", "x half", "m"),
            node("Mul", "m a", "y"), c=C, k=K, one=1, half=0.5,
        ),
        "GeluTanh",
        Z * special.expit(2 * INNER),
    ),
    "silu": (lambda: network(node("Sigmoid", "x", "s"), node("Mul", "x s", "y")), "Silu", Z * special.expit(Z)),
    "silu, quick": (
        lambda: network(node("Mul", "k x", "v"), node("Sigmoid", "v", "s"), node("Mul", "s x", "y"), k=1.702),
        "Silu",
        Z * special.expit(float(f32(1.702)) * Z),
    ),
    "silu, falling": (
        lambda: network(node("Neg", "x", "n"), node("Sigmoid", "n", "s"), node("Mul", "s x", "y")),
        "Silu",
        Z * special.expit(-Z),
    ),
    "mish": (
        lambda: network(node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")),
        "Mish",
        Z * np.tanh(np.logaddexp(Z, 0)),
    ),
    "softsign": (
        lambda: network(node("Abs", "x", "a"), node("Add", "a one", "d"), node("Div", "x d", "y"), one=1),
        "Softsign",
        Z / (1 + abs(Z)),
    ),
    "softsign, scaled": (
        lambda: network(
            node("Mul", "x two", "w"), node("Abs", "x", "a"), node("Mul", "a k", "b"), node("Add", "b c", "d"),
            node("Div", "w d", "y"), two=-2, k=0.3, c=0.7,
        ),
        "Softsign",
        -2 * Z / (float(f32(0.7)) + float(f32(0.3)) * abs(Z)),
    ),
}  # fmt: skip

# Near a form and none: what is written is what is meant.
OTHERS: dict[str, tuple[Callable[[], onnx.ModelProto], np.ndarray]] = {
    "another constant in the cube": (
        lambda: network(
            *CUBE, node("Tanh", "u", "t"), node("Add", "one t", "a"), node("Mul", "half x", "h"),
            node("Mul", "h a", "y"), **{**BY_TANH, "c": 0.05},
        ),
        Z * special.expit(2 * float(K) * (Z + float(f32(0.05)) * Z**3)),
    ),
    "a share of 0.9": (
        lambda: network(node("Erf", "x", "e"), node("Add", "e c", "a"), node("Mul", "x a", "y"), c=0.9),
        Z * (special.erf(Z) + float(f32(0.9))),
    ),
    "less an erf": (
        lambda: network(node("Erf", "x", "e"), node("Sub", "one e", "a"), node("Mul", "x a", "y"), one=1),
        Z * (1 - special.erf(Z)),
    ),
    "the sigmoid of something else": (
        lambda: network(
            node("Add", "x c", "z"), node("Sigmoid", "z", "s"), node("Mul", "x s", "y"), c=0.5
        ),
        Z * special.expit(Z + 0.5),
    ),
    "a shifted factor": (
        lambda: network(node("Add", "x c", "z"), node("Sigmoid", "x", "s"), node("Mul", "z s", "y"), c=0.5),
        (Z + 0.5) * special.expit(Z),
    ),
    "a tanh of twice softplus": (
        lambda: network(
            node("Softplus", "x", "s"), node("Mul", "s two", "v"), node("Tanh", "v", "t"), node("Mul", "x t", "y"),
            two=2,
        ),
        Z * np.tanh(2 * np.logaddexp(Z, 0)),
    ),
    "from a constant": (
        lambda: network(
            node("Sub", "one x", "z"), node("Sigmoid", "x", "s"), node("Mul", "z s", "y"), one=1
        ),
        (1 - Z) * special.expit(Z),
    ),
}  # fmt: skip


def canonical(proto: onnx.ModelProto) -> list[str]:
    return [each.op for each in from_proto(proto).graph.nodes]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_one_curve(name: str) -> None:
    build, curve, expected = FORMS[name]
    assert set(canonical(build())) <= {curve, "Mul"}
    np.testing.assert_allclose(run_loaded(from_proto(build()), X), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(run_file(build(), X), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_near_a_form_keeps_its_own_value(name: str) -> None:
    build, expected = OTHERS[name]
    assert "Square" in canonical(build())
    np.testing.assert_allclose(run_loaded(from_proto(build()), X), expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(run_file(build(), X), expected, rtol=0, atol=3e-6)


def test_the_file_may_read_the_parts_elsewhere() -> None:
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s", "m"), node("Add", "m s", "y")]
    np.testing.assert_allclose(
        run_loaded(from_proto(network(*nodes)), X), Z * special.expit(Z) + special.expit(Z), rtol=1e-13
    )


def test_a_quotient_that_is_no_curve_is_refused() -> None:
    nodes = [node("Abs", "x", "a"), node("Sub", "a one", "d"), node("Div", "x d", "y")]
    with pytest.raises(UnsupportedError, match="divides by a computed value"):
        from_proto(network(*nodes, one=1))


def test_long_chains_are_not_searched_again_and_again() -> None:
    nodes, last = [], "x"
    for i in range(2000):
        nodes += [
            node("Add", f"{last} {last}", f"d{i}"),
            node("Tanh", f"d{i}", f"t{i}"),
            node("Add", f"t{i} c", f"a{i}"),
        ]
        nodes.append(node("Mul", f"x a{i}", f"m{i}"))
        last = f"d{i}" if i < 60 else last
    nodes.append(node("Add", "m0 m1999", "y"))
    assert "Square" in canonical(network(*nodes, c=1))
