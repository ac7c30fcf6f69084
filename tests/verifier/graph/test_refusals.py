"""What cannot be read is refused with a sentence that names the file, the place and the remedy."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph import load_model
from glscert.verifier.graph.load import from_proto
from onnx_models import changed, make, mlp, mlp_consts, mlp_nodes, node, normal, one


def without_shape(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    return proto


def beside(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, None))
    return proto


UNSUPPORTED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "an ending inside": (
        lambda: make([*mlp_nodes()[:2], node("Softmax", "r", "s"), node("Relu", "s", "y")], ["batch", 6], mlp_consts()),
        r"operator Softmax \(node 's'\) is not supported. Supported: Abs, Add,.*only be the network's last",
    ),
    "probabilities of probabilities": (
        lambda: make([node("Relu", "x", "r"), node("Softmax", "r", "s"), node("LogSoftmax", "s", "y")], ["b", 6], {}),
        r"Softmax \(node 's'\)",
    ),
    "a Softmax of groups": (lambda: one("Softmax", dims=("b", 2, 3)), r"axis 2 of \[1, 2, 3\].*over all outputs"),
    "a Softmax over the batch": (lambda: one("Softmax", opset=11, axis=0), "over axis 0"),
    "an ArgMax over the batch": (lambda: one("ArgMax"), "over axis 0"),
    "an ArgMax that is read as a truth": (
        lambda: make([node("ArgMax", "x", "a", axis=1), node("Cast", "a", "y", to=TensorProto.BOOL)], ["b", 6], {}),
        r"ArgMax \(node 'a'\)",
    ),
    "an operator inside": (
        lambda: make([helper.make_node("Shrink", ["x"], ["y"], name="bend")], ["b", 1, 4, 4], {}),
        r"Shrink \(node 'bend'\).*Supported: .*It jumps",
    ),
    "a scaler of scikit-learn": (
        lambda: make([helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")], ["batch", 6], {}),
        r"ai.onnx.ml.Scaler.*black_op=.*'Scaler'",
    ),
    "a label beside the probabilities": (
        lambda: beside(make([node("Softmax", "x", "y"), node("ArgMax", "x", "label", axis=1)], ["b", 6], {})),
        r"operator (Softmax|ArgMax).*before its only output: leave out outputs beside it.*remove 'label'",
    ),
    "values that are quantised": (
        lambda: one("QuantizeLinear", "x s", s=np.float32(0.1)), "QuantizeLinear.*quantise its weights only",
    ),
    "an operator of another domain": (
        lambda: make([helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft")], ["batch", 6], {}),
        r"com.microsoft.Relu",
    ),
    "an operator for constants, on a computed value": (lambda: one("Floor"), "Floor.*constants only"),
    "a transposed batch": (lambda: one("Transpose"), "across the batch axis"),
    "a slice of the batch": (
        lambda: one("Slice", "x s e a", s=np.array([0]), e=np.array([0]), a=np.array([0])),
        "across the batch axis",
    ),
    "entries that are not there": (lambda: one("Gather", "x i", i=np.array([6])), "does not have"),
    "entries of a computed place": (lambda: one("Gather", "c x", c=normal(6)), "'c' is a constant where"),
    "a computed power": (lambda: one("Pow", "x x"), "another power"),
    "a fourth power": (lambda: one("Pow", "x c", c=np.float32(4)), "another power"),
    "a Celu of nothing": (lambda: make([node("Celu", "x", "y", alpha=0.0)], ["b", 6], {}), "0 for its alpha"),
    "another approximation": (
        lambda: make([node("Gelu", "x", "y", approximate="fast")], ["b", 6], {}, 20),
        "approximated by 'fast'; supported: none, tanh",
    ),
    "a linear Resize": (
        lambda: make(
            [node("Resize", "x - s", "y", mode="linear")], ["b", 1, 4, 4], {"s": np.float32([1, 1, 2, 2])}
        ),
        "supported: nearest",
    ),
    "inputs of two types": (
        lambda: changed(lambda p: p.graph.input.append(helper.make_tensor_value_info("z", TensorProto.DOUBLE, [1]))),
        r"'x', 'z' differ in type",
    ),
    "an input of integers": (
        lambda: changed(lambda p: p.graph.input.append(helper.make_tensor_value_info("z", TensorProto.INT64, [1]))),
        r"'z' is int64; supported: float32 and float64",
    ),
    "inputs too large to be joined": (
        lambda: changed(lambda p: p.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [2**20]))),
        r"takes 1048582 numbers for an image \('x' \[1, 6\], 'z' \[1048576\]\); supported: at most",
    ),
    "no input": (lambda: changed(lambda p: p.graph.ClearField("input")), r"0 inputs \(none\)"),
    "an ending beside another output": (
        lambda: changed(lambda p: (p.graph.node.append(node("Softmax", "y", "p")), p.graph.output.add(name="p"))),
        r"Softmax \(node 'p'\).*only be the network's last operator",
    ),
    "no output": (lambda: changed(lambda p: p.graph.ClearField("output")), "0 outputs"),
    "opset too old": (lambda: mlp(opset=7), "opset 7; supported: 8 to"),
    "opset too new": (lambda: mlp(opset=99), "opset 99"),
    "float16 input": (lambda: mlp(dtype=np.float16), "'x' is float16; supported: float32"),
    "float16 weight": (
        lambda: make(mlp_nodes(), ["batch", 6], {**mlp_consts(), "b1": normal(5).astype(np.float16)}),
        r"\('b1'\) of type float16 where the input is float32",
    ),
    "mixed types": (
        lambda: make(mlp_nodes(), ["batch", 6], {**mlp_consts(), "b1": normal(5).astype(np.float64)}),
        "type float64 where the input is float32",
    ),
    "sparse weights": (
        lambda: changed(lambda p: p.graph.sparse_initializer.add(dims=[2, 2])),
        "sparse",
    ),
    "no shape": (lambda: without_shape(make([node("Relu", "x", "y")], ["b", 6], {})), "declares no shape"),
    "symbolic features": (
        lambda: make([node("Relu", "x", "y")], ("batch", "features"), {}),
        r"\[batch, features\], and nothing says how long features is.*fixed size",
    ),
    "symbolic images": (
        lambda: make([node("Conv", "x k", "y")], ["b", "c", "h", None], {"k": normal(1, 2, 2, 2)}),
        r"\[b, c, h, \?\], and nothing says how long h, \? are",
    ),
    "symbolic rank 1": (lambda: mlp(("features",)), r"\[features\]"),
    "a kernel larger than the image": (
        lambda: make([node("Conv", "x k", "y")], ["b", 1, 4, 4], {"k": normal(1, 1, 5, 5)}),
        "larger than its padded input",
    ),
    "channels that do not fit": (
        lambda: make([node("Conv", "x k", "y")], ["b", 3, 4, 4], {"k": normal(1, 2, 2, 2)}),
        "do not fit 3 channels",
    ),
    "negative pads": (
        lambda: make([node("Conv", "x k", "y", pads=[-1, 0, 0, 0])], ["b", 1, 4, 4], {"k": normal(1, 1, 2, 2)}),
        "pads of at least 0",
    ),
    "a three-dimensional convolution": (
        lambda: make([node("Conv", "x k", "y")], ["b", 1, 4, 4, 4], {"k": normal(1, 1, 2, 2, 2)}),
        "two-dimensional",
    ),
    "a maximum's place": (
        lambda: make([node("MaxPool", "x", "p y", kernel_shape=[2, 2])], ["b", 1, 4, 4], {}),
        "'y' .an optional output.* is used",
    ),
    "a dilated window with pads of its own": (
        lambda: make(
            [node("MaxPool", "x", "y", kernel_shape=[2], dilations=[2], auto_pad="SAME_UPPER")], ["b", 1, 5], {}
        ),
        "runtimes do not read alike",
    ),
    "strides far beyond a window with pads of its own": (
        lambda: make(
            [node("AveragePool", "x", "y", kernel_shape=[1], strides=[3], auto_pad="SAME_UPPER")], ["b", 1, 9], {}
        ),
        "strides by 3 over windows of 1 with auto_pad SAME_UPPER, which runtimes do not read alike",
    ),
    "an input of many axes": (lambda: mlp((1,) * 40 + (6,)), "the input 'x' has 41 axes; supported: at most 32"),
    "a weight of many axes": (lambda: one("Add", "x c", c=normal(*(1,) * 40)), "the weight 'c' has 40 axes"),
    "a value of many axes": (
        lambda: one("Reshape", "x s", s=np.array([0, *(1,) * 70, 6])),
        r"operator Reshape \(node 'y'\) would give a value of 71 axes; at most 32",
    ),
    "axes one after the other": (
        lambda: make([node("Unsqueeze", "x a", "y")], ["b", 6], {"a": np.arange(1, 50)}), "a value of 50 axes"
    ),
    "a weight in segments": (
        lambda: changed(lambda p: p.graph.initializer[0].segment.SetInParent()), "is stored in segments; supported: in"
    ),
    "an input of no images": (lambda: mlp((0, 6)), r"the shape \[0, 6\], which holds nothing"),
    "a format of the future": (lambda: mlp(ir_version=200), "IR version 200; supported: up to"),
    "a network that computes in float16": (
        lambda: make(
            [node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Relu", "h", "r"), node("Cast", "r", "y", to=1)],
            ["b", 6],
            {},
        ),
        "converts a computed value from float32 to another type",
    ),
    "a computed choice": (
        lambda: one("Where", "x x x"),
        "chooses by a computed value",
    ),
    "a normalisation by layer": (
        lambda: make([node("LayerNormalization", "x s", "y")], ["b", 6], {"s": normal(6)}, 17),
        "LayerNormalization.*train with BatchNormalization",
    ),
    "a matrix that does not fit": (lambda: one("MatMul", "x w", w=normal(5, 3)), "vector of 6.*takes 5"),
    "a batch times a vector": (lambda: one("MatMul", "x w", ("b", 6), w=normal(6)), "drops the batch axis"),
    "an image times a longer vector": (lambda: one("MatMul", "x w", ("b", 4, 6), w=normal(5)), "a vector of 5"),
    "another Einsum": (
        lambda: make([node("Einsum", "x w", "y", equation="bi,oi->ob")], ["b", 6], {"w": normal(4, 6)}),
        "is 'bi,oi->ob'; supported: 'bi,oi->bo'.*Write a MatMul",
    ),
    "an Einsum along a diagonal": (
        lambda: make([node("Einsum", "x w", "y", equation="bb,ob->bo")], ["b", 6], {"w": normal(4, 6)}),
        "supported: 'bi",
    ),
    "two computed values multiplied": (lambda: one("MatMul", "x x", ("b", 6, 6)), "two computed values"),
    "a computed divisor": (lambda: one("Div", "c x", c=normal(6)), "divides by a computed value"),
    "a divisor of 0": (lambda: one("Div", "x c", c=np.zeros(6, np.float32)), "zero"),
    "a constant that extends": (lambda: one("Add", "x c", c=normal(4, 6)), "extends a computed value"),
    "a constant that does not fit": (lambda: one("Add", "x c", c=normal(5)), "do not fit"),
    "a reshape across the batch": (lambda: one("Reshape", "x s", s=np.array([-1, 3])), "batch axis"),
    "a reshape that drops the batch": (lambda: one("Reshape", "x s", s=np.array([6])), "batch axis"),
    "a reshape of other size": (lambda: one("Reshape", "x s", s=np.array([1, 7])), "another number of entries"),
    "a flatten of the batch": (lambda: make([node("Flatten", "x", "y", axis=0)], ["b", 6], {}), "batch axis"),
    "an axis before the batch": (lambda: one("Unsqueeze", "x a", a=np.array([0])), "before the batch"),
    "dropout in training": (
        lambda: one("Dropout", "x r t", r=np.float32(0.5), t=np.array(True)),
        r"model.eval\(\)",
    ),
    "the mask of a dropout": (
        lambda: make([node("Dropout", "x", "d y")], ["batch", 6], {}),
        "'y'.*not supported",
    ),
    "branches of different shapes": (
        lambda: make([node("Gemm", "x w", "g"), node("Add", "x g", "y")], ["b", 6], {"w": normal(6, 3)}),
        "do not fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case: str) -> None:
    build, words = UNSUPPORTED[case]
    with pytest.raises(UnsupportedError, match=words) as caught:
        from_proto(build())
    assert str(caught.value).endswith(".")


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(one("Sign").SerializeToString())
    with pytest.raises(UnsupportedError, match=r"model.onnx: operator Sign \(node 'y'\)"):
        load_model(path)


def test_reading_a_network_never_loads_torch() -> None:
    code = "import sys, glscert.verifier.graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
