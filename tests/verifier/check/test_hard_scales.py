"""Networks that keep a property in real numbers and break it in some float32 order of summation: proved in `real`,
never in `float32`."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import onnx
import pytest

import float32_runs
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.questions import Asked, Clauses, Row
from glscert.verifier.check.refusal import NotCovered
from onnx_models import make, node


class Hard(NamedTuple):
    """y_0 - margin > 0 is asked at the point x."""

    model: onnx.ModelProto
    x: np.ndarray
    margin: float


def dense(weights: list[float], x: list[float], margin: float, bias: float = 0.0) -> Hard:
    consts = {"W": np.array(weights, np.float32)[:, None], "b": np.array([bias], np.float32)}
    return Hard(make([node("Gemm", "x W b", "y")], (1, len(x)), consts), np.array(x, np.float32), margin)


def near(weights: list[float], x: list[float], room: float) -> Hard:
    """The margin is less than the sum of products by so little."""
    pairs = zip(np.float32(weights).tolist(), np.float32(x).tolist(), strict=True)
    return dense(weights, x, float(sum(Fraction(w) * Fraction(v) for w, v in pairs)) - room)


def scaled(size: float, depth: int) -> Hard:
    """x times a factor of about this size and back, again and again, where rounding on the way loses some of it."""
    for factor in np.float32(size * np.linspace(1, 2, 50)):
        consts = {"up": np.full((1, 1), factor), "down": np.full((1, 1), 1 / factor)}
        x = found = np.float32(1.7)
        for _ in range(depth):
            found = found * factor * consts["down"][0, 0]
        exact = (Fraction(float(factor)) * Fraction(float(consts["down"][0, 0]))) ** depth * Fraction(float(x))
        if found < float(exact) - 1e-8:
            names = ["x", *(f"v{number}" for number in range(2 * depth))]
            ends = zip(names, names[1:], strict=False)
            nodes = [node("MatMul", f"{a} {('up', 'down')[k % 2]}", b) for k, (a, b) in enumerate(ends)]
            model = make([*nodes, node("Identity", names[-1], "y")], (1, 1), consts)
            return Hard(model, x.reshape(1), float(exact) - 1e-9)
    raise AssertionError("no factor loses anything")


HARD: dict[str, Callable[[], Hard]] = {
    "mixed magnitudes": lambda: dense([1e8, 1.0, -1e8], [1.0, 1.0, 1.0], 0.5),
    "cancelling weights": lambda: near([3.0, -1.0] * 50, [1 / 3, 1.1] * 50, 1e-7),
    "bias against the sum": lambda: dense([1e8, 1.0], [1.0, 1.0], 0.5, -1e8),
    "swallowed ones": lambda: dense([2.0**24] + [1.0] * 16 + [-(2.0**24)], [1.0] * 18, 15.5),
    "scale chain": lambda: scaled(3.0, 6),
    "long scale chain": lambda: scaled(1e-9, 20),
    "products that underflow": lambda: dense([1e-30], [1e-20], 0.0),
    "denormal weight": lambda: dense([1e-40], [1.0], 0.0),
    "denormal input": lambda: dense([1.0], [1e-40], 0.0),
}


def asked(hard: Hard) -> Asked:
    x = hard.x.astype(np.float64)
    clauses = Clauses(((Row(((0, Fraction(1)),), -Fraction(hard.margin)),),), len(x), 1)
    return Asked(x, x, hard.x, hard.x, hard.x, clauses, clauses.rows)


@pytest.mark.parametrize("name", HARD)
def test_what_some_order_breaks_is_not_proved_in_float32(name: str) -> None:
    hard = HARD[name]()
    group = asked(hard)
    real, single = Checker(hard.model, "real"), Checker(hard.model, "float32")
    lowest = min(
        float(float32_runs.run(single.network, hard.x, np.random.default_rng([seed, 1]))[single.network.output][0])
        for seed in range(200)
    )
    assert Fraction(lowest) - Fraction(hard.margin) <= 0  # some order does break it
    assert any(real.roots([group], rule)[0].all() for rule in (0, 1, 2))
    assert not any(single.roots([group], rule)[0].any() for rule in (0, 1, 2))


def test_what_may_overflow_is_not_proved() -> None:
    """Some order of the sum is infinite on its way."""
    hard = dense([3e38, 3e38, -3e38], [1.0] * 3, -1e38)
    assert not Checker(hard.model, "float32").roots([asked(hard)], 1)[0].any()
    assert Checker(hard.model, "real").roots([asked(hard)], 1)[0].all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_weights_that_are_no_numbers_are_not_covered(value: float) -> None:
    with pytest.raises(NotCovered, match="infin"):
        Checker(dense([value, 1.0], [1.0, 1.0], 0.0).model)
