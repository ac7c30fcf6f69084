"""What is derived from a file's numbers while it is read stays exact, or in float64 within its last bit."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import onnx
import pytest

from glscert.verifier import Clause, Query, Row, Verdict, verify
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph.load import from_proto
from glscert.verifier.network import load
from onnx_models import make, node, normal, one, run_file, run_loaded

X = np.float32([0.24770169, 0.2371059, 0.97803503])
LAST_BIT = Fraction(1, 2**50)  # of the largest number on the way: a few roundings in float64


def exact(values: np.ndarray | float) -> list[Fraction]:
    return [Fraction(float(value)) for value in np.ravel(values)]


def product(w: np.ndarray) -> Fraction:
    return sum((x * y for x, y in zip(exact(X), exact(w), strict=True)), Fraction())


def scaled_product() -> tuple[onnx.ModelProto, Fraction]:
    w = normal(3, 1)
    alpha = Fraction(float(np.float32(0.3)))
    return make([node("Gemm", "x w", "y", alpha=0.3)], ("b", 3), {"w": w}), alpha * product(w)


def scaled_bias() -> tuple[onnx.ModelProto, Fraction]:
    w, b = normal(3, 1), normal(1)
    beta = Fraction(float(np.float32(0.7)))
    total = product(w) + beta * exact(b)[0]
    return make([node("Gemm", "x w b", "y", beta=0.7)], ("b", 3), {"w": w, "b": b}), total


def summed(first: onnx.NodeProto, **consts: np.ndarray) -> onnx.ModelProto:
    return make([first, node("ReduceSum", "z axes", "y")], ("b", 3), {"axes": np.array([1]), **consts})


def leaky() -> tuple[onnx.ModelProto, Fraction]:
    moved = [x - Fraction(1, 2) for x in exact(X)]
    slopes = [x if x > 0 else Fraction(float(np.float32(0.3))) * x for x in moved]
    nodes = [node("Sub", "x half", "d"), node("LeakyRelu", "d", "z", alpha=0.3), node("ReduceSum", "z axes", "y")]
    return make(nodes, ("b", 3), {"half": np.float32(0.5), "axes": np.array([1])}), sum(slopes)


def default_slope() -> tuple[onnx.ModelProto, Fraction]:
    return summed(node("LeakyRelu", "x", "z")), sum(exact(X))


def mean() -> tuple[onnx.ModelProto, Fraction]:
    return make([node("ReduceMean", "x", "y", axes=[1])], ("b", 3), {}), sum(exact(X)) / 3


def pooled() -> tuple[onnx.ModelProto, Fraction]:
    nodes = [node("Reshape", "x s", "r"), node("AveragePool", "r", "p", kernel_shape=[3]), node("Flatten", "p", "y")]
    return make(nodes, ("b", 3), {"s": np.array([0, 1, 3])}), sum(exact(X)) / 3


def hard_sigmoid() -> tuple[onnx.ModelProto, Fraction]:
    alpha = Fraction(float(np.float32(0.2)))
    return summed(node("HardSigmoid", "x", "z")), sum(alpha * x + Fraction(1, 2) for x in exact(X))


def hard_swish() -> tuple[onnx.ModelProto, Fraction]:
    proto = summed(node("HardSwish", "x", "z"))
    proto.opset_import[0].version = 14
    return proto, sum(x * (x + 3) / 6 for x in exact(X))


def folded() -> tuple[onnx.ModelProto, Fraction]:
    """x / (0.1 + 0.2) · 3, of constants that a float32 runtime would round twice."""
    nodes = [
        node("Add", "a b", "c"),
        node("Reciprocal", "c", "i"),
        node("Mul", "i three", "f"),
        node("Mul", "x f", "z"),
        node("ReduceSum", "z axes", "y"),
    ]
    a, b = np.float32(0.1), np.float32(0.2)
    consts = {"a": a, "b": b, "three": np.float32(3), "axes": np.array([1])}
    return make(nodes, ("b", 3), consts), sum(exact(X)) * 3 / (Fraction(float(a)) + Fraction(float(b)))


DERIVED: dict[str, Callable[[], tuple[onnx.ModelProto, Fraction]]] = {
    build.__name__: build
    for build in (
        scaled_product,
        scaled_bias,
        leaky,
        default_slope,
        mean,
        pooled,
        hard_sigmoid,
        hard_swish,
        folded,
    )
}


@pytest.mark.parametrize("name", DERIVED)
def test_the_numbers_of_the_file(name: str) -> None:
    proto, value = DERIVED[name]()
    found = Fraction(float(run_loaded(from_proto(proto), X[None])[0, 0]))
    assert abs(found - value) <= 8 * LAST_BIT
    assert abs(Fraction(float(run_file(proto, X[None])[0, 0])) - value) < Fraction(1, 10**6)


@pytest.mark.parametrize("slope", [2.0**54, 1e-30])
@pytest.mark.parametrize("op, below", [("LeakyRelu", -3.0), ("Elu", np.expm1(-3.0))])
def test_a_slope_whose_rest_no_float64_is_stays_exact(op: str, below: float, slope: float) -> None:
    """1 - a would be rounded: at 3 the slope of the other side must not be seen, at -3 only it."""
    model = from_proto(make([node(op, "x", "y", alpha=slope)], ("b", 1), {}))
    found = run_loaded(model, np.array([[3.0], [-3.0]])).ravel()
    np.testing.assert_allclose(found, [3.0, below * float(np.float32(slope))], rtol=1e-14)


def test_normalisation_keeps_its_mean_and_its_shift_apart() -> None:
    """mean · factor - shift, as one rounded number, would err by more than the values here are large."""
    mean, scale = np.float32([3e7]), np.float32([1 / 3])
    consts = {"s": scale, "t": np.float32([0.1]), "m": mean, "v": np.float32([0.7])}
    model = from_proto(one("BatchNormalization", "x s t m v", ("b", 1), opset=9, **consts))
    assert [each.op for each in model.graph.nodes] == ["Add", "Mul", "Add"]
    first, factor, last = (float(model.params[each.params[0]].item()) for each in model.graph.nodes)
    assert (first, last) == (-3e7, float(np.float32(0.1)))
    square = Fraction(float(scale[0])) ** 2 / (Fraction(float(np.float32(0.7))) + Fraction(float(np.float32(1e-5))))
    assert abs(Fraction(factor) ** 2 / square - 1) < 8 * LAST_BIT


def test_weights_of_the_file_stay_as_they_are() -> None:
    model = from_proto(make([node("Gemm", "x w b", "y", beta=0.3)], ("b", 3), {"w": normal(3, 2), "b": normal(2)}))
    weight, bias = (model.params[name] for name in model.graph.nodes[0].params)
    assert (weight.dtype, bias.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(weight, normal(3, 2).T)


def test_a_constant_that_float32_decides_is_refused() -> None:
    """0.7 of 10 is below 7 in exact numbers, and 7 in float32."""
    nodes = [node("Mul", "a ten", "b"), node("Floor", "b", "f"), node("Mul", "x f", "y")]
    with pytest.raises(UnsupportedError, match="another result in exact numbers"):
        from_proto(make(nodes, ("b", 3), {"a": np.float32(0.7), "ten": np.float32(10)}))


@pytest.mark.parametrize("keep", (0, 1))
@pytest.mark.parametrize("dims", (("b", 3), (1, 3), (3,)))
def test_a_value_of_a_single_number(keep: int, dims: tuple, tmp_path) -> None:
    nodes = [node("ReduceMean", "x", "m", axes=[-1], keepdims=keep), node("Relu", "m", "r"), node("Mul", "r w", "y")]
    if dims == ("b", 3) and not keep:
        return  # drops the batch axis of the sum: refused
    path = tmp_path / "m.onnx"
    path.write_bytes(make(nodes, dims, {"w": np.float32([2])}).SerializeToString())
    for least, answer in ((Fraction(3, 2), Verdict.FALSIFIED), (Fraction(21, 10), Verdict.VERIFIED)):
        lower, upper = np.zeros(3), np.ones(3)
        query = Query(3, 1, (Clause(lower, upper, (lower, upper), (Row(((0, Fraction(-1)),), least),)),))
        assert verify(load(path), query, timeout=10).verdict is answer


LIMITS = [-1e20, -3e38, -70000.0, -2.5, 0.0, 2.5, 1e16, 3e38]


@pytest.mark.parametrize("op", ("Clip low", "Clip high", "Max", "Min"))
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_far_away_keeps_the_value(op: str, limit: float) -> None:
    """c + relu(x - c) would lose x beside a sentinel."""
    c = np.float32(limit)
    inputs = {"Clip low": "x c", "Clip high": "x - c", "Max": "x c", "Min": "c x"}[op]
    model = from_proto(one(op.split()[0], inputs, ("b", 3), c=c))
    x = np.float32([[0.1, -0.3, 1 / 3]])
    expected = (np.maximum if op in ("Clip low", "Max") else np.minimum)(x.astype(np.float64), float(c))
    np.testing.assert_allclose(run_loaded(model, x), expected, rtol=1e-15, atol=1e-15)


def test_limits_that_cross_leave_the_upper_one() -> None:
    proto = one("Clip", "x l h", l=np.float32(1), h=np.float32(-0.5))
    x = normal(3, 6)
    np.testing.assert_array_equal(run_loaded(from_proto(proto), x), run_file(proto, x))


ROUNDED = {
    "root": ([node("Sqrt", "c", "r"), node("Mul", "x r", "y")], {"c": np.float32([2])}),
    "normalisation": (
        [node("BatchNormalization", "x g b m v", "y")],
        {name: np.float32([0.3, 0.7, 1.1]) for name in "gbmv"},
    ),
}
EXACT = {
    "weights": ([node("Gemm", "x w b", "y", alpha=0.3)], {"w": normal(3, 2), "b": normal(2)}),
    "slope": ([node("LeakyRelu", "x", "y", alpha=0.3)], {}),
    "mean": ([node("ReduceMean", "x", "y", axes=[1], keepdims=1)], {}),
}


@pytest.mark.parametrize("name", [*ROUNDED, *EXACT])
def test_a_graph_says_whether_its_numbers_are_exact(name: str) -> None:
    nodes, consts = (ROUNDED | EXACT)[name]
    model = from_proto(make(nodes, ("b", 3), consts))
    assert (model.graph.rounding == 0) == (name in EXACT)
    assert model.graph.rounding < 1e-14
