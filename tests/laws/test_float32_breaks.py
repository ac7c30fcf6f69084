"""Networks of which float32, in some order of its sums, breaks what real numbers keep: proved in real arithmetic, and
never in float32."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from closings import WAYS, only
from glscert.verifier import Clause, Query, Row, Verdict, load, verify
from onnx_models import make, node

SECONDS = 0.3


class Fragile(NamedTuple):
    """Nodes from x [1, 2] to h [1, 1], which is x_0 in real numbers; x_0 in [2, 4], x_1 = 1."""

    nodes: list[onnx.NodeProto]
    consts: dict[str, Any]


def swallowed(last: str, power: int) -> Fragile:
    """f(2^k + x - 2^k), in one product."""
    nodes = [node("Gemm", "x w b", "z"), node(last, "z", "h")]
    return Fragile(nodes, {"w": [[1.0], [2.0**power]], "b": [-(2.0**power)]})


def swallowed_by_layers(last: str, power: int) -> Fragile:
    """f(relu(2^k + x) - 2^k)."""
    nodes = [node("Gemm", "x w b", "z"), node("Relu", "z", "r"), node("Sub", "r large", "d"), node(last, "d", "h")]
    return Fragile(nodes, {"w": [[1.0], [0.0]], "b": [2.0**power], "large": [2.0**power]})


def scaled_down_and_up(last: str, power: int) -> Fragile:
    """x 2^-k 2^-k 2^k 2^k: below the smallest normal number on the way."""
    nodes = [node("MatMul", "x w", "z")]
    for place, factor in enumerate(("small", "small", "large", "large")):
        nodes.append(node("Mul", f"{'z' if not place else f's{place - 1}'} {factor}", f"s{place}"))
    nodes.append(node(last, "s3", "h"))
    return Fragile(nodes, {"w": [[1.0], [0.0]], "small": [2.0**-power], "large": [2.0**power]})


def many_that_cancel(last: str, count: int) -> Fragile:
    """x + 2^22 - 2^22 + 2^22 …: which of them meet first decides."""
    nodes = [node("MatMul", "x spread", "a"), node("MatMul", "a back", "z"), node(last, "z", "h")]
    spread, back = np.zeros((2, count + 1), np.float32), np.ones((count + 1, 1), np.float32)
    spread[0, 0] = 1
    spread[1, 1:] = 2.0**22 + 0.5
    back[1::2] = -1
    return Fragile(nodes, {"spread": spread, "back": back})


LASTS = ("Identity", "Relu", "LeakyRelu")
CASES: dict[str, tuple[Callable[..., Fragile], str, int]] = {
    f"{build.__name__}, {size}, {last}": (build, last, size)
    for build, sizes in (
        (swallowed, (26, 34)),
        (swallowed_by_layers, (26, 34)),
        (scaled_down_and_up, (64, 70)),
        (many_that_cancel, (64, 512)),
    )
    for size in sizes
    for last in LASTS
}


def asked(path: Path, case: str, arithmetic: str) -> Verdict:
    """Whether h > 1 is said to hold."""
    build, last, size = CASES[case]
    fragile = build(last, size)
    consts = {key: np.float32(value) for key, value in fragile.consts.items()}
    path.write_bytes(make([*fragile.nodes, node("Identity", "h", "y")], (1, 2), consts).SerializeToString())
    ends = np.array([2.0, 1.0]), np.array([4.0, 1.0])
    query = Query(2, 1, (Clause(*ends, ends, (Row(((0, Fraction(1)),), Fraction(-1)),)),))
    return verify(load(path, arithmetic=arithmetic), query, timeout=SECONDS).verdict


@pytest.mark.parametrize("case", CASES)
def test_what_float32_breaks_is_proved_in_real_numbers_alone(case: str, tmp_path: Path) -> None:
    with only(WAYS["inputs"]):
        assert asked(tmp_path / "network.onnx", case, "real") is Verdict.VERIFIED
    for way in ("inputs", "inputs, without C", "neurons", "neurons, without C"):
        with only(WAYS[way]):
            found = asked(tmp_path / "network.onnx", case, "float32")
        assert found is not Verdict.VERIFIED, way


@pytest.mark.parametrize(
    ("consts", "step", "least", "most"),
    (
        ({"a": 1.0, "b": 3.0}, "Div", 2.0**-26, 1e-5),
        ({"a": 0.1, "b": 0.3}, "Add", 2.0**-28, 1e-5),
        ({"a": 0.1, "b": 0.7}, "Mul", 2.0**-28, 1e-5),
        ({"a": 2.0, "b": 0.5}, "Mul", 0.0, 0.0),
    ),
)
def test_constants_as_a_runtime_computes_them(consts, step, least, most, tmp_path):
    nodes = [node(step, "a b", "c"), node("Mul", "x c", "y")]
    given = {key: np.float32([value]) for key, value in consts.items()}
    (tmp_path / "network.onnx").write_bytes(make(nodes, (1, 2), given).SerializeToString())
    engine = load(tmp_path / "network.onnx").engine
    assert least <= engine.rounding <= most
    assert engine.real.rounding <= 1e-14
