"""What a runtime may fold before it computes, or flush to zero: proofs in float32, and the checker's, hold so too.

Every network here keeps its bound node by node without flushing, and breaks it in a way that docs/soundness.md covers.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from closings import WAYS, only
from glscert.verifier import Clause, Query, Row, Verdict, load, verify
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.questions import stated
from glscert.verifier.check.refusal import NotCovered
from glscert.verifier.errors import UnsupportedError
from onnx_models import make, node

F = np.float32
COUNT = 512  # each too small to move 1 by itself
MANY = np.full((1, COUNT, 1, 1), 2.0**-25)
ONE = np.float32([1])


class Broken(NamedTuple):
    """y > least holds for x in [low, high], but not once constants are folded, or what is small is flushed."""

    nodes: list[onnx.NodeProto]
    dims: tuple[int, ...]
    consts: Mapping[str, object]
    low: float
    high: float
    least: float


def product(*after: onnx.NodeProto, consts: Mapping[str, object], first: float, least: float) -> Broken:
    """x in [0.5, 1], scaled, and what comes after."""
    nodes = [node("MatMul", "x first", "h"), node("Relu", "h", "r"), *after]
    return Broken(nodes, (1, 1), {"first": [[first]], **consts}, 0.5, 1.0, least)


def single(op: str, inputs: str, dims: tuple[int, ...], low: float, least: float, /, consts=None, **attrs) -> Broken:
    return Broken([node(op, f"x {inputs}", "y", **attrs)], dims, consts or {}, low, 2 * low, least)


NORM = {"s": ONE, "t": ONE, "m": 0 * ONE, "v": ONE - F(1e-5)}
CASES = {
    "a summand first": Broken(
        [node("Conv", "x w", "z"), node("Add", "z t", "y")],
        (1, COUNT, 1, 1), {"w": MANY, "t": np.ones((1, 1, 1))}, 1.0, 1.0, 1 + 2e-6,
    ),
    "a normalisation's shift first": Broken(
        [node("Conv", "x w", "z"), node("BatchNormalization", "z s t m v", "y")],
        (1, COUNT, 1, 1), {"w": MANY, **NORM}, 1.0, 1.0, 1 + 2e-6,
    ),
    "a value first": Broken(
        [node("Conv", "x w", "z"), node("Slice", "x a b c", "o"), node("Add", "z o", "y")],
        (1, COUNT, 1, 1), {"w": MANY, "a": [0], "b": [1], "c": [1]}, 1.0, 1.0, 1 + 2e-6,
    ),
    "a flushed weight": single("MatMul", "w", (1, 1), 1e37, 0.04, {"w": [[5e-39]]}),
    "a flushed product of factors": product(
        node("MatMul", "r w", "z"), node("Mul", "z s", "y"), consts={"w": [[1e-20]], "s": [1e-30]},
        first=1e18, least=1e-33,
    ),
    "an infinite product of factors": product(
        node("MatMul", "r w", "z"), node("Mul", "z s", "y"), consts={"w": [[1e25]], "s": [1e25]},
        first=1e-30, least=1e10,
    ),
    "an infinite factor": product(
        node("Reshape", "r shape", "z"), node("BatchNormalization", "z s t m v", "y"),
        consts={"shape": np.array([1, 1, 1, 1]), **NORM, "s": 1e38 * ONE, "t": 0 * ONE, "v": 1e-10 * ONE},
        first=2e-30, least=1e5,
    ),
    "a divisor": single("Div", "c", (1, 1), 1e-10, 1.0, {"c": [4e-39]}),
    "an alpha": single("Gemm", "w", (1, 1), 1.0, 1e-3, {"w": [[1e38]]}, alpha=1e-40),
    "a product before its alpha": product(
        node("Gemm", "r w", "y", alpha=1e30), consts={"w": [[1e-30]]}, first=1e-20, least=1e-22
    ),
    "a sum before its alpha": product(
        node("Gemm", "r w", "y", alpha=1e-25), consts={"w": [[1e30]]}, first=1e20, least=1e20
    ),
    "a slope": Broken(
        [node("LeakyRelu", "x", "l", alpha=1e-40), node("Neg", "l", "y")], (1, 1), {}, -2e38, -1e38, 1e-3
    ),
}  # fmt: skip


def asked(case: Broken) -> Query:
    entries = int(np.prod(case.dims))
    ends = np.full(entries, case.low), np.full(entries, case.high)
    return Query(entries, 1, (Clause(*ends, ends, (Row(((0, Fraction(1)),), -Fraction(case.least)),)),))


def written(case: Broken) -> onnx.ModelProto:
    consts = {key: np.asarray(value) for key, value in case.consts.items()}
    return make(case.nodes, case.dims, {k: v if v.dtype.kind == "i" else F(v) for k, v in consts.items()})


@pytest.mark.parametrize("name", CASES)
def test_what_folding_breaks_is_not_verified(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "network.onnx").write_bytes(written(case).SerializeToString())
    for way in ("inputs", "inputs, without C", "neurons", "neurons, without C"):
        with only(WAYS[way]):
            try:
                found = verify(load(tmp_path / "network.onnx"), asked(case), timeout=WAYS[way].seconds).verdict
            except UnsupportedError:
                continue  # nothing is said
        assert found is not Verdict.VERIFIED, way


class Stated(NamedTuple):
    """A clause as the checker reads it."""

    lower: np.ndarray
    upper: np.ndarray
    fed: tuple[np.ndarray, np.ndarray]
    rows: tuple[Row, ...]


@pytest.mark.parametrize("rule", (0, 1, 2))
@pytest.mark.parametrize("name", CASES)
def test_nor_does_the_checker_close_it(name: str, rule: int) -> None:
    (clause,) = asked(CASES[name]).clauses
    try:
        checker = Checker(written(CASES[name]))
    except NotCovered:
        return  # nothing is said
    own = Stated(clause.lower, clause.upper, (F(clause.lower), F(clause.upper)), clause.rows)
    question = stated([own], len(clause.lower), 1)
    assert not checker.roots(question.groups, rule)[0].any()
