"""Small networks in which numbers of very different size meet: what float64 swallows may not become a proof.

Each computes h of one free input, exactly known at a point of the region where it reaches `level`. Asked is whether h
stays below a number under that: as a property, and as two scores of which h is the second.
"""

from collections.abc import Callable
from fractions import Fraction
from math import exp, inf, log1p, tanh
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from closings import WAYS, Way, only
from glscert.verifier import Clause, Query, Row, Verdict, load, robustness, verify
from glscert.verifier.region import Norm
from onnx_models import make, node

SECONDS = 0.05
WITHIN = 0.9  # of the level: what is asked about


class Hard(NamedTuple):
    """Nodes from x [1, n] to h [1, 1]. h reaches `level` within `radius` of the centre, in real arithmetic."""

    nodes: list[onnx.NodeProto]
    consts: dict[str, Any]
    centre: list[float]
    radius: list[float]
    level: float


CURVES: dict[str, Callable[[float], float]] = {
    "Identity": lambda z: z,
    "Relu": lambda z: max(z, 0.0),
    "LeakyRelu": lambda z: z,
    "Sigmoid": lambda z: 1 / (1 + exp(-z)),
    "Softplus": lambda z: log1p(exp(z)),
    "Tanh": tanh,
    "HardSigmoid": lambda z: min(1.0, 0.2 * z + 0.5),
}


def swallowed(curve: str, power: int) -> Hard:
    """f(2^k + x - 2^k) at x = 3."""
    nodes = [node("MatMul", "x w", "z"), node(curve, "z", "h")]
    return Hard(nodes, {"w": [[2.0**power], [1], [-(2.0**power)]]}, [1, 0, 1], [0, 3, 0], CURVES[curve](3.0))


def swallowed_by_layers(curve: str, power: int) -> Hard:
    """f(relu(2^k + x) - relu(2^k)) at x = 3."""
    nodes = [
        node("MatMul", "x w", "z"), node("Relu", "z", "r"), node("MatMul", "r v", "d"), node(curve, "d", "h")
    ]  # fmt: skip
    consts = {"w": [[2.0**power, 2.0**power], [1, 0]], "v": [[1], [-1]]}
    return Hard(nodes, consts, [1, 0], [0, 3], CURVES[curve](3.0))


def beside_a_sentinel(kind: str, size: float) -> Hard:
    """tanh of a limit that is never reached, at x = 0.8."""
    limits = {
        "Clip": [node("Clip", "z low high", "c")],
        "Clip below": [node("Clip", "z low", "c")],
        "Clip above": [node("Clip", "z - high", "c")],
        "Max": [node("Max", "z low", "c")],
        "Min": [node("Min", "high z", "c")],
        "Relu": [node("Add", "z high", "a"), node("Relu", "a", "r"), node("Sub", "r high", "c")],
    }[kind]
    nodes = [node("MatMul", "x w", "z"), *limits, node("Tanh", "c", "h")]
    return Hard(nodes, {"w": [[1], [0]], "low": [-size], "high": [size]}, [0.5, 0.3], [0.3, 0], tanh(0.8))


def the_larger_of_two(kind: str, power: int) -> Hard:
    """x beside -2^k, at x = 3."""
    last = {
        "Max": [node("Split", "z", "a b", axis=1), node("Max", "a b", "h")],
        "Max, turned": [node("Split", "z", "a b", axis=1), node("Max", "b a", "h")],
        "Min": [
            node("Neg", "z", "n"), node("Split", "n", "a b", axis=1), node("Min", "a b", "m"), node("Neg", "m", "h")
        ],
        "ReduceMax": [node("ReduceMax", "z", "h", axes=[1])],
        "MaxPool": [
            node("Unsqueeze", "z one", "i"), node("MaxPool", "i", "p", kernel_shape=[2]), node("Squeeze", "p one", "h")
        ],
    }[kind]  # fmt: skip
    consts = {"w": [[0, -(2.0**power)], [1, 0]], "one": np.array([1])}
    return Hard([node("MatMul", "x w", "z"), *last], consts, [1, 0], [0, 3], 3.0)


def a_steep_side(kind: str, power: int) -> Hard:
    """A rectifier whose other side is very steep, at x = 3."""
    last = node("PRelu", "x s", "h") if kind == "PRelu" else node(kind, "x", "h", alpha=2.0**power)
    return Hard([last], {"s": [2.0**power]}, [0], [3], 3.0)


def a_product(kind: str, power: int) -> Hard:
    """(2^k x) (2^-k x') at 1 and 3."""
    nodes = [node("MatMul", "x w", "z"), node("Split", "z", "a b", axis=1), node("Mul", "a b", "h")]
    return Hard(nodes, {"w": [[2.0**power, 0], [0, 2.0**-power]]}, [1, 0], [0, 3], 3.0)


def a_difference(kind: str, power: int) -> Hard:
    """2^k (f(x + 2^-k) - f(x)), a slope, where it is steepest."""
    at, far, slope = {"Sigmoid": (0, 2, 0.25), "Tanh": (0, 2, 1.0), "Softplus": (3, 0, CURVES["Sigmoid"](3.0))}[kind]
    nodes = [
        node("Add", "x d", "a"), node(kind, "a", "fa"), node(kind, "x", "fx"), node("Sub", "fa fx", "s"),
        node("Mul", "s w", "h"),
    ]  # fmt: skip
    return Hard(nodes, {"d": [2.0**-power], "w": [2.0**power]}, [far], [abs(far - at)], slope * (1 - 2.0**-20))


def a_small_curve(kind: str, power: int) -> Hard:
    """2^k f(2^-k x), of a function that is about x at 0, at x = 3."""
    steps = [node("Mul", "x small", "a"), node(kind, "a", "b"), node("Mul", "b large", "h")]
    consts = {"small": [2.0**-power], "large": [2.0**power], "half": [0.5]}
    if kind == "HardSigmoid":
        steps[1:2] = [node(kind, "a", "c", alpha=1.0), node("Sub", "c half", "b")]
    return Hard(steps, consts, [0], [3], 3.0 * (1 - 2.0**-20))


def a_wide_layer(layers: int, width: int) -> Hard:
    """Layers that repeat x and add it up again with next to nothing, often: 2^20 (x (1 + δ)^layers - 1), at x = 1."""
    tiny = np.float32(1.1e-16)
    nodes, value = [], "x"
    for layer in range(layers):
        nodes += [node("MatMul", f"{value} one", f"z{layer}"), node("Relu", f"z{layer}", f"h{layer}")]
        nodes += [node("MatMul", f"h{layer} few", f"s{layer}"), node("Relu", f"s{layer}", f"t{layer}")]
        value = f"t{layer}"
    nodes.append(node("Gemm", f"{value} large minus", "h"))
    few = np.full((width + 1, 1), tiny, np.float32)
    few[0] = 1
    consts = {"one": np.ones((1, width + 1), np.float32), "few": few, "large": [[2.0**20]], "minus": [-(2.0**20)]}
    grown = (1 + width * Fraction(float(tiny))) ** layers - 1
    return Hard(nodes, consts, [0.99], [0.01], float(2**20 * grown))


CASES: dict[str, tuple[Callable[..., Hard], str, Any]] = {
    **{f"{curve} of 2^{k}": (swallowed, curve, k) for curve in CURVES for k in (30, 60, 120)},
    **{f"{curve} of layers of 2^{k}": (swallowed_by_layers, curve, k) for curve in CURVES for k in (60, 90)},
    **{
        f"{kind} at {size:g}": (beside_a_sentinel, kind, size)
        for kind in ("Clip", "Clip below", "Clip above", "Max", "Min", "Relu")
        for size in (1e8, 1e16, 3e38)
    },
    **{
        f"{kind} beside 2^{k}": (the_larger_of_two, kind, k)
        for kind in ("Max", "Max, turned", "Min", "ReduceMax", "MaxPool")
        for k in (30, 60)
    },
    **{f"{kind} of slope 2^{k}": (a_steep_side, kind, k) for kind in ("Elu", "LeakyRelu", "PRelu") for k in (30, 54)},
    **{f"2^{k} times 2^-{k}": (a_product, "Mul", k) for k in (10, 20, 30, 50)},
    **{
        f"{kind} along 2^-{k}": (a_difference, kind, k)
        for kind in ("Sigmoid", "Tanh", "Softplus")
        for k in (30, 42, 60)
    },
    **{f"{kind} near 0, 2^-{k}": (a_small_curve, kind, k) for kind in ("Tanh", "HardSigmoid") for k in (30, 60)},
    **{
        f"{width} of nothing, {layers} times": (a_wide_layer, layers, width)
        for width, layers in ((500, 4), (2000, 12), (6000, 4), (6000, 8))
    },
}  # fmt: skip


def model(hard: Hard, level: float | None) -> bytes:
    """h; with a level, the scores (level, h)."""
    consts = {
        name: value if isinstance(value, np.ndarray) else np.float32(value) for name, value in hard.consts.items()
    }
    last = [node("Identity", "h", "y")]
    if level is not None:
        last = [node("Gemm", "h second first", "y")]
        consts |= {"second": np.float32([[0, 1]]), "first": np.float32([level, 0])}
    return make([*hard.nodes, *last], (1, len(hard.centre)), consts).SerializeToString()


def proved(path: Path, hard: Hard, way: Way) -> str | None:
    """Why h < level is said to hold, which is false; None where it is not said."""
    path.write_bytes(model(hard, None))
    centre, radius = np.float64(hard.centre), np.float64(hard.radius)
    ends = centre - radius, centre + radius
    level = Fraction(float(np.float32(WITHIN * hard.level)))
    query = Query(len(centre), 1, (Clause(*ends, ends, (Row(((0, Fraction(-1)),), level),)),))
    with only(way):
        answer = verify(load(path), query, timeout=SECONDS)
    return answer.reason if answer.verdict is Verdict.VERIFIED else None


def robust(path: Path, hard: Hard, way: Way, norm: Norm) -> str | None:
    path.write_bytes(model(hard, WITHIN * hard.level))
    with only(way):
        given = np.float32([hard.centre]), np.array([0]), np.array(hard.radius)
        (answer,) = robustness(load(path), *given, low=-inf, high=inf, timeout=SECONDS, norm=norm)
    return answer.reason if answer.verdict is Verdict.VERIFIED else None


@pytest.mark.parametrize("case", CASES)
def test_what_float64_swallows_is_not_proved(case: str, tmp_path: Path, every_way: bool) -> None:
    build, kind, size = CASES[case]
    hard, place = build(kind, size), list(CASES).index(case)
    ways, norms = (list(of) if every_way else [list(of)[place % len(of)]] for of in (WAYS, Norm))
    ways = list(dict.fromkeys(["inputs", *ways]))
    found = {way: proved(tmp_path / "network.onnx", hard, WAYS[way]) for way in ways}
    found |= {norm.value: robust(tmp_path / "scores.onnx", hard, WAYS[ways[-1]], norm) for norm in norms}
    assert not any(found.values()), found
