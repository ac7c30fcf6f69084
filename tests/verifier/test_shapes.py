"""A network of four numbers is the same whatever shape its file gives them, and images are asked one at a time."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from glscert.verifier import Verdict, load, robustness, verify
from glscert.verifier.errors import InputError, UnsupportedError
from onnx_models import make, node, normal

W1, B1, W2 = normal(4, 6), normal(6), normal(6, 2)
ROW = [node("MatMul", "f w1", "h"), node("Add", "h b1", "a"), node("Relu", "a", "r"), node("MatMul", "r w2", "y")]
COLUMN = [node("MatMul", "v1 f", "h"), node("Add", "h c1", "a"), node("Relu", "a", "r"), node("MatMul", "v2 r", "y")]
CONSTS = {"w1": W1, "b1": B1, "w2": W2, "v1": W1.T.copy(), "c1": B1[:, None], "v2": W2.T.copy()}
AS_IT_IS = node("Identity", "x", "f")


def by(axis):
    return node("Flatten", "x", "f", axis=axis)


def to(*shape):
    return node("Reshape", f"x shape{len(shape)}", "f"), {f"shape{len(shape)}": np.array(shape)}


def network(first, rest, dims, outputs=None, consts=None) -> onnx.ModelProto:
    """The output has the symbols `outputs` where its shape is declared."""
    proto = make([first, *rest], dims, CONSTS | (consts or {}))
    if outputs is not None:
        proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs))
    return proto


def without_shape():
    proto = make([node("MatMul", "x w1", "h"), *ROW[1:]], (1, 4), CONSTS)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    return proto


SHAPES = {
    "[4]": lambda: network(AS_IT_IS, ROW, (4,)),
    "[4], columns": lambda: network(node("Unsqueeze", "x last", "f"), COLUMN, (4,), consts={"last": np.array([1])}),
    "[1,4]": lambda: network(AS_IT_IS, ROW, (1, 4)),
    "[10,4]": lambda: network(AS_IT_IS, ROW, (10, 4)),
    "[10,4], reshaped": lambda: network(to(10, 4)[0], ROW, (10, 4), consts=to(10, 4)[1]),
    "[10,1,4]": lambda: network(by(1), ROW, (10, 1, 4)),
    "[10,4,1]": lambda: network(AS_IT_IS, COLUMN, (10, 4, 1)),
    "[N,4]": lambda: network(AS_IT_IS, ROW, ("N", 4)),
    "[N,F]": lambda: make([node("MatMul", "x w1", "h"), *ROW[1:]], ("N", "F"), CONSTS),
    "[4,N]": lambda: network(AS_IT_IS, COLUMN, (4, "N"), (2, "N")),
    "[4,1]": lambda: network(AS_IT_IS, COLUMN, (4, 1)),
    "[4,1], flattened": lambda: network(by(0), ROW, (4, 1)),
    "[2,2]": lambda: network(by(0), ROW, (2, 2)),
    "[2,2,1]": lambda: network(to(1, 4)[0], ROW, (2, 2, 1), consts=to(1, 4)[1]),
    "[1,4,1]": lambda: network(AS_IT_IS, COLUMN, (1, 4, 1)),
    "[1,2,2]": lambda: network(by(1), ROW, (1, 2, 2)),
    "[1,1,2,2]": lambda: network(by(1), ROW, (1, 1, 2, 2)),
    "[4,1,1,1]": lambda: network(by(0), ROW, (4, 1, 1, 1)),
    "[N,2,2]": lambda: network(by(1), ROW, ("N", 2, 2)),
    "no shape": without_shape,
}


def gap(x: np.ndarray) -> np.ndarray:
    """Y_0 - Y_1 of x [N, 4]."""
    y = np.maximum(x @ W1 + B1, 0) @ W2
    return y[:, 0] - y[:, 1]


SEEN = gap(np.random.default_rng(0).random((2000, 4)).round(1))


def asked(tmp_path, least: float, inputs: int = 4):
    text = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(inputs))
    text += f"(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (<= (- Y_0 Y_1) {least}))"
    path = tmp_path / f"{inputs} {least}.vnnlib"
    path.write_text(text)
    return path


def saved(tmp_path, proto):
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    return tmp_path / "net.onnx"


@pytest.mark.parametrize("shape", SHAPES)
def test_one_answer_for_every_shape(shape, tmp_path):
    path, low = saved(tmp_path, SHAPES[shape]()), float(SEEN.min())
    corners = gap(np.array(np.meshgrid(*[[0.0, 1.0]] * 4)).reshape(4, -1).T)
    assert verify(path, asked(tmp_path, low - 3), timeout=10).verdict is Verdict.VERIFIED
    found = verify(path, asked(tmp_path, max(low, corners.min()) + 0.01), timeout=10)
    assert found.verdict is Verdict.FALSIFIED
    assert abs(gap(found.witness.x[None])[0] - (found.witness.y[0] - found.witness.y[1])) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_many_images_are_answered_as_each_alone(shape, tmp_path):
    network = load(saved(tmp_path, SHAPES[shape]()), 4)
    x = np.random.default_rng(1).random((23, *network.graph.input_shape)).astype(np.float32)
    wanted = np.maximum(x.reshape(23, 4) @ W1 + B1, 0) @ W2
    np.testing.assert_allclose(network.runtime.logits(x), wanted, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([network.runtime.logits(each[None]) for each in x]), wanted, atol=1e-5)
    assert network.runtime.logits(x[:0]).shape == (0, 2)


def test_a_single_number(tmp_path):
    path = saved(tmp_path, make([node("Mul", "x two", "m"), node("Relu", "m", "y")], (), {"two": np.float32(2)}))
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))(assert (<= X_0 1))(assert (>= Y_0 {}))"
    for least, answer in (("2.5", Verdict.VERIFIED), ("1.5", Verdict.FALSIFIED)):
        (tmp_path / "p.vnnlib").write_text(text.format(least))
        assert verify(path, tmp_path / "p.vnnlib", timeout=5).verdict is answer


def test_the_question_tells_a_batch_from_an_axis_of_the_image(tmp_path):
    """relu of [3,2,2]: three images of four numbers, or one of twelve."""
    path = saved(tmp_path, make([node("Relu", "x", "y")], (3, 2, 2), {}))
    assert load(path).graph.input_shape == (2, 2)
    assert load(path, 12).graph.input_shape == (3, 2, 2)
    text = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(12))
    text += "".join(f"(declare-const Y_{i} Real)" for i in range(12)) + "(assert (>= Y_11 1.5))"
    (tmp_path / "p.vnnlib").write_text(text)
    assert verify(path, tmp_path / "p.vnnlib", timeout=5).verdict is Verdict.VERIFIED


def test_a_column_holds_numbers_rather_than_images(tmp_path):
    path = saved(tmp_path, make([node("Relu", "x", "y")], (4, 1), {}))
    assert load(path).graph.input_shape == (4, 1)
    assert load(path, 1).runtime.logits(np.float32([[-1], [2], [3]])).tolist() == [[0], [2], [3]]


def mixing(*nodes, dims=("N", 4), **consts):
    return make([*nodes, node("MatMul", "m w1", "h"), *ROW[1:]], dims, CONSTS | consts)


MIXING = {
    "an axis of one is the batch": mixing(
        node("Unsqueeze", "x mid", "u"), node("Reshape", "u shape", "m"), mid=np.array([1]), shape=np.array([1, 4])
    ),
    "resized to one image": mixing(
        node("Unsqueeze", "x mid", "u"), node("Resize", "u - - sizes", "s"), node("Flatten", "s", "m"),
        mid=np.array([1, 2]), sizes=np.array([1, 1, 1, 4]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXING)
def test_a_batch_of_one_behind_a_symbolic_one(name, tmp_path):
    network = load(saved(tmp_path, MIXING[name]))
    x = np.random.default_rng(1).random((5, 4)).astype(np.float32)
    np.testing.assert_allclose(network.runtime.logits(x), np.maximum(x @ W1 + B1, 0) @ W2, atol=1e-5)
    y = network.runtime.logits(x).argmax(1)
    assert {answer.verdict for answer in robustness(network, x, y, 1e-4, timeout=5)} == {Verdict.VERIFIED}


REFUSED = {
    "constants that differ between the images": (
        make([node("Add", "x c", "f"), *ROW], (10, 4), CONSTS | {"c": normal(10, 4)}),
        InputError,
        "4 is not declared",
    ),
    "an axis that nothing tells": (
        make([node("Relu", "x", "y")], ("N", 4, "width"), {}),
        UnsupportedError,
        r"\[N, 4, width\], and nothing says how long width is",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, tmp_path):
    proto, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        verify(saved(tmp_path, proto), asked(tmp_path, 0.0), timeout=5)
