"""Choices by comparison: exact where they do not jump, refused with a reason where they do."""

from fractions import Fraction

import numpy as np
import onnx
import pytest

from glscert.verifier.errors import GlscertError, UnsupportedError
from glscert.verifier.graph.load import from_proto
from glscert.verifier.graph.pieces import NoPiecesError, Pieces, combined, level
from onnx_models import agree, make, node, run_file, run_loaded

FLOAT, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL


def network(*nodes: onnx.NodeProto, opset: int = 17, **consts: float) -> onnx.ModelProto:
    return make(nodes, ("b", 6), {name: np.float32(value) for name, value in consts.items()}, opset)


SOFT = (node("Abs", "x", "a"), node("Greater", "a c", "g"), node("Sign", "x", "s"), node("Mul", "s c", "m"))
EXACT = {
    "leaky ReLU": network(
        node("Greater", "x zero", "g"), node("Mul", "x slope", "m"), node("Where", "g x m", "y"), zero=0, slope=0.1
    ),
    "leaky ReLU, the other way round": network(
        node("LessOrEqual", "zero x", "g"), node("Div", "x ten", "m"), node("Where", "g x m", "y"), zero=0, ten=10
    ),
    "soft shrinkage by Sign": network(
        *SOFT, node("Sub", "x m", "d"), node("Mul", "x zero", "z"), node("Where", "g d z", "y"), c=0.5, zero=0
    ),
    "soft shrinkage in two choices": network(
        node("Greater", "x c", "g"), node("Sub", "x c", "d"), node("Where", "g d zero", "p"),
        node("Less", "x n", "l"), node("Add", "x c", "e"), node("Where", "l e zero", "q"),
        node("Add", "p q", "y"), c=0.5, n=-0.5, zero=0,
    ),
    "a ReLU as a product with its condition": network(
        node("GreaterOrEqual", "x zero", "g"), node("Cast", "g", "f", to=FLOAT), node("Mul", "f x", "y"), zero=0
    ),
    "between two limits": network(
        node("Greater", "x c", "g"), node("Less", "x n", "l"), node("Where", "g c x", "p"), node("Where", "l n p", "y"),
        c=0.25, n=-0.5,
    ),
    "limits far away": network(
        node("Greater", "x c", "g"), node("Less", "x n", "l"), node("Where", "g c x", "p"), node("Where", "l n p", "y"),
        c=1e20, n=-1e20,
    ),
    "outside of an interval, by Or and Not": network(
        node("Greater", "x c", "g"), node("Less", "x n", "l"), node("Or", "g l", "o"), node("Not", "o", "i"),
        node("Cast", "i", "b", to=BOOL), node("Abs", "x", "a"), node("Where", "b c a", "y"), c=0.5, n=-0.5,
    ),
    "a shifted and scaled value": network(
        node("Mul", "x k", "m"), node("Add", "m t", "u"), node("Less", "u zero", "g"), node("Neg", "u", "v"),
        node("Where", "g v u", "y"), k=-1.5, t=0.3, zero=0,
    ),
    "a sign times nothing": network(
        node("Sign", "x", "s"), node("Mul", "s zero", "z"), node("Add", "x z", "w"), node("Relu", "w", "y"), zero=0
    ),
    "a single number that equals": network(
        node("Equal", "x c", "e"), node("Where", "e c x", "w"), node("Relu", "w", "y"), c=0.25
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_choices_that_do_not_jump_are_exact(name: str) -> None:
    proto = EXACT[name]
    agree(proto)
    model = from_proto(proto)
    x = np.float32([[-2, -0.5, 0, 0.25, 0.5, 2], [-0.2, 0.2, 0.49, 0.51, -0.51, 1e-6]])
    np.testing.assert_allclose(run_loaded(model, x), run_file(proto, x), rtol=1e-6, atol=1e-7)
    assert {each.op for each in model.graph.nodes} <= {"Add", "Mul", "Relu", "Sub"}


JUMPING = {
    "a threshold": (
        network(node("LessOrEqual", "x c", "g"), node("Where", "g zero x", "w"), node("Tanh", "w", "y"), c=0.1, zero=0),
        r"operator Where \(node 'w'\) jumps, from 0 to 0.1 where its input is 0.1.*LeakyRelu",
    ),
    "hard shrinkage": (
        network(*SOFT[:2], node("Where", "g x zero", "y"), c=0.5, zero=0),
        "jumps, from -0.5 to 0 where its input is -0.5",
    ),
    "a jump at a single number": (
        network(node("Equal", "x c", "e"), node("Where", "e zero x", "y"), c=0.25, zero=0), "jumps, from 0.25 to 0",
    ),
    "a sign": (network(node("Sign", "x", "s"), node("Tanh", "s", "y")), r"Sign \(node 's'\) jumps, from -1 to 1"),
    "Softplus of torch's default exporter": (
        network(node("Softplus", "x", "s"), node("Greater", "x c", "g"), node("Where", "g x s", "y"), c=20),
        r"between Softplus and its input.*dynamo=False",
    ),
    "two values": (
        network(node("Sigmoid", "x", "s"), node("Greater", "x s", "g"), node("Where", "g x s", "y")),
        "lines of one computed value with single numbers.*Max, Min",
    ),
    "a comparison that is a number": (
        network(
            node("Greater", "x c", "g"), node("Cast", "g", "f", to=onnx.TensorProto.INT64),
            node("Cast", "f", "y", to=FLOAT), c=0,
        ),
        "Greater.*compares a computed value; supported: as the condition",
    ),
    "no number": (
        network(node("Greater", "x c", "g"), node("Where", "g x c", "y"), c=np.inf), "with single numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JUMPING)
def test_choices_that_jump_are_refused(name: str) -> None:
    proto, reason = JUMPING[name]
    with pytest.raises(UnsupportedError, match=reason):
        from_proto(proto)


def test_a_choice_that_enlarges_its_value_is_refused() -> None:
    nodes = [node("Greater", "x c", "g"), node("Where", "g x c", "y")]
    with pytest.raises(UnsupportedError, match="single numbers"):
        from_proto(make(nodes, (1, 3), {"c": np.zeros((2, 3), np.float32)}))


def test_numbers_of_a_choice_that_float64_rounds_are_known_as_such() -> None:
    assert from_proto(EXACT["between two limits"]).graph.rounding == 0
    assert from_proto(EXACT["leaky ReLU, the other way round"]).graph.rounding > 0


def test_many_pieces_are_too_many() -> None:
    low, high, stairs = level(Fraction(0)).lines[0], level(Fraction(1)).lines[0], level(Fraction(0))
    with pytest.raises(NoPiecesError):
        for k in range(20):
            step = Pieces((Fraction(k),), (low, high), (Fraction(0),))
            stairs = combined(lambda lines, x: (Fraction(0), lines[0][1] + lines[1][1]), [stairs, step])


def test_numbers_that_do_not_fit_a_choice_are_refused() -> None:
    nodes = [node("Greater", "x low", "g"), node("Where", "g x other", "y")]
    consts = {"low": np.float32(0), "other": np.zeros((1, 1, 3, 3), np.float32)}
    with pytest.raises(GlscertError):
        from_proto(make(nodes, ("b", 2), consts))
    consts = {"low": np.zeros(3, np.float32), "other": np.float32(0)}
    with pytest.raises(GlscertError, match="do not fit"):
        from_proto(make(nodes, ("b", 2), consts))
