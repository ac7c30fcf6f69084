"""What cannot be read is refused with a sentence that names the file, the place and the remedy."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.graph import Model, load_model
from glscert.verifier.graph.load import from_proto
from onnx_models import make, mlp, mlp_consts, mlp_nodes, node, normal


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = mlp()
    change(proto)
    return proto


def weight(proto: onnx.ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def one(op: str, inputs: str = "x", dims=("batch", 6), opset: int = 13, axis: int | None = None, **consts: np.ndarray):
    return make([node(op, inputs, "y", **({} if axis is None else {"axis": axis}))], dims, consts, opset)


def external(proto: onnx.ModelProto) -> None:
    tensor = weight(proto, "w1")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_constant() -> onnx.ModelProto:
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[6], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="weights.bin")
    return make([node("Constant", "", "c", value=value), node("Add", "x c", "y")], ["batch", 6], {})


def doubling() -> onnx.ModelProto:
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(60)]
    return make([*nodes, node("Reshape", "x c60", "y")], ["batch", 6], {"c0": np.array([1])})


def negative_weights_shape(proto: onnx.ModelProto) -> None:
    weight(proto, "w1").dims[0] = -5


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
    "a network without operators": (lambda: one("Identity"), "the output is the input itself"),
    "a Softmax of the input": (lambda: one("Softmax"), "the output is the input itself"),
    "an operator inside": (
        lambda: make([helper.make_node("Selu", ["x"], ["y"], name="bend")], ["b", 1, 4, 4], {}),
        r"Selu \(node 'bend'\).*Supported: .*activations",
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
    "a cube": (lambda: one("Pow", "x c", c=np.float32(3)), "another power"),
    "an empty range": (lambda: one("Clip", "x l h", l=np.float32(1), h=np.float32(0)), "empty range"),
    "a border of 2^40": (
        lambda: one("Pad", "x p", p=np.array([0, 0, 0, 2**40])),
        "pads an axis of 6",
    ),
    "a value repeated 2^40 times": (lambda: one("Expand", "x s", ("b", 1), s=np.array([1, 2**40])), "at most"),
    "a stride of 0": (
        lambda: make(
            [node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[0, 1], ceil_mode=1)], ["b", 1, 4, 4], {}
        ),
        "strides",
    ),
    "a window of 2^30": (
        lambda: make([node("MaxPool", "x", "y", kernel_shape=[2**30, 1])], ["b", 1, 4, 4], {}),
        "windows of at most",
    ),
    "a Cast to an unknown type": (
        lambda: make([node("Cast", "x", "y", to=38)], ["b", 4], {}),
        "another type",
    ),
    "a linear Resize": (
        lambda: make(
            [node("Resize", "x - s", "y", mode="linear")], ["b", 1, 4, 4], {"s": np.float32([1, 1, 2, 2])}
        ),
        "supported: nearest",
    ),
    "two inputs": (
        lambda: changed(lambda p: p.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))),
        r"2 inputs \('x', 'z'\); supported: exactly one",
    ),
    "no input": (lambda: changed(lambda p: p.graph.ClearField("input")), r"0 inputs \(none\)"),
    "two outputs": (lambda: changed(lambda p: p.graph.output.add(name="r")), "2 outputs"),
    "no output": (lambda: changed(lambda p: p.graph.ClearField("output")), "0 outputs"),
    "opset too old": (lambda: mlp(opset=7), "opset 7; supported: 8 to"),
    "opset too new": (lambda: mlp(opset=99), "opset 99"),
    "float16 input": (lambda: mlp(dtype=np.float16), "'x' is float16; supported: float32"),
    "float16 weight": (
        lambda: make(mlp_nodes(), ["batch", 6], {**mlp_consts(), "b1": normal(5).astype(np.float16)}),
        "'b1' is float16; supported: float32",
    ),
    "mixed types": (
        lambda: make(mlp_nodes(), ["batch", 6], {**mlp_consts(), "b1": normal(5).astype(np.float64)}),
        "type float64 where the input is float32",
    ),
    "external data": (lambda: changed(external), "second file.*never opened"),
    "external data in a constant": (external_constant, "second file"),
    "sparse weights": (
        lambda: changed(lambda p: p.graph.sparse_initializer.add(dims=[2, 2])),
        "sparse",
    ),
    "a redefined operator": (
        lambda: changed(lambda p: p.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [], []))),
        "redefines",
    ),
    "no shape": (lambda: changed(lambda p: p.graph.input[0].type.tensor_type.ClearField("shape")), "declares no shape"),
    "symbolic features": (lambda: mlp(("batch", "features")), r"\[batch, features\].*fixed size"),
    "symbolic rank 1": (lambda: mlp(("features",)), r"\[features\]"),
    "batch fixed to 32": (lambda: mlp((32, 6)), r"\[32, 6\].*dynamic batch"),
    "a huge input": (lambda: mlp(("batch", 2**40)), "at most"),
    "huge pads": (
        lambda: make([node("Conv", "x k", "y", pads=[2**30] * 4)], ["b", 1, 4, 4], {"k": normal(1, 1, 2, 2)}),
        r"Conv \(node 'y'\) would give a value of shape",
    ),
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
        "places of its maxima",
    ),
    "a matrix that does not fit": (lambda: one("MatMul", "x w", w=normal(5, 3)), "vector of 6.*takes 5"),
    "an image times a vector": (lambda: one("MatMul", "x w", ("b", 4, 6), w=normal(6)), "Flatten the value"),
    "a batch times a matrix from the left": (lambda: one("MatMul", "w x", w=normal(3, 1)), "vectors of one image"),
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

BAD: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "NaN in a weight": (
        lambda: make(mlp_nodes(), ["batch", 6], {**mlp_consts(), "b1": np.full(5, np.nan, np.float32)}),
        r"Gemm \(node 'h'\).*'b1'.*NaN",
    ),
    "infinity in a constant": (lambda: one("Add", "x c", c=np.full(6, np.inf, np.float32)), "infinity"),
    "a cycle": (
        lambda: make([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], ["batch", 6], {}),
        r"Add \(node 'a'\) reads 'b', which nothing before it computes",
    ),
    "a value computed twice": (
        lambda: make([node("Relu", "x", "a"), node("Relu", "x", "a"), node("Relu", "a", "y")], ["batch", 6], {}),
        "'a', which has a value already",
    ),
    "a weight twice": (lambda: changed(lambda p: p.graph.initializer.append(weight(p, "w1"))), "'w1' twice"),
    "an output that nothing computes": (
        lambda: make([node("Relu", "x", "z")], ["b", 6], {}),
        "nothing computes the out",
    ),
    "an output that is constant": (
        lambda: make([node("Identity", "c", "y")], ["b", 6], {"c": normal(6)}),
        "does not depend on the input",
    ),
    "a weight that stores too little": (lambda: changed(lambda p: weight(p, "w1").dims.append(2**50)), "but stores 30"),
    "a weight of negative shape": (lambda: changed(negative_weights_shape), "declares the shape"),
    "an attribute of the wrong type": (
        lambda: make([node("Flatten", "x", "y", axis="one")], ["batch", 6], {}),
        "breaks the ONNX standard",
    ),
    "an operand too many": (lambda: one("Relu", "x x"), "breaks the ONNX standard"),
    "constants that double": (doubling, "more than"),
    "opsets that contradict": (lambda: changed(lambda p: p.opset_import.add(domain="", version=14)), "exactly one"),
    "metadata twice": (
        lambda: changed(lambda p: [p.metadata_props.add(key="org.glscli.eps", value=v) for v in ("0.1", "0.2")]),
        "org.glscli.eps.*twice",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case: str) -> None:
    build, words = UNSUPPORTED[case]
    with pytest.raises(UnsupportedError, match=words) as caught:
        from_proto(build())
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    build, words = BAD[case]
    with pytest.raises(InputError, match=words) as caught:
        from_proto(build())
    assert str(caught.value).endswith(".")


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing file": (lambda path: None, "cannot read .*No such file"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "an empty file": (lambda path: path.write_bytes(b""), "is empty"),
    "a text file": (lambda path: path.write_text("this is no network\n" * 9), "is not an ONNX model"),
    "a short text": (lambda path: path.write_text("\n"), "is not an ONNX model"),
    "a cut file": (lambda path: path.write_bytes(mlp().SerializeToString()[:200]), "cut short"),
    "an empty archive": (lambda path: path.write_bytes(gzip.compress(b"")), "is empty"),
    "a cut archive": (lambda path: path.write_bytes(gzip.compress(mlp().SerializeToString())[:90]), "damaged gzip"),
    "a false archive": (lambda path: path.write_bytes(b"\x1f\x8b" + bytes(50)), "damaged gzip"),
}


@pytest.mark.parametrize("case", FILES)
def test_unusable_files(case: str, tmp_path: Path) -> None:
    write, words = FILES[case]
    path = tmp_path / "model.onnx"
    write(path)
    with pytest.raises(InputError, match=words) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_a_null_character_in_the_path() -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_model("model\0.onnx")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_sizes_are_bounded(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "zeros.onnx"
    path.write_bytes(pack(bytes(2_000_000)))
    with pytest.raises(InputError, match="more than 1000000 bytes"):
        load_model(path, max_bytes=1_000_000)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(one("Selu").SerializeToString())
    with pytest.raises(UnsupportedError, match=r"model.onnx: operator Selu \(node 'y'\)"):
        load_model(path)


def _load_or_refuse(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        model = load_model(path)
    except GlscertError as error:
        return type(error).__name__
    return type(model).__name__


def test_a_file_cut_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    data = mlp().SerializeToString()
    found = {_load_or_refuse(tmp_path / "cut.onnx", data[:stop]) for stop in range(0, len(data), 3)}
    assert found <= {"InputError", "UnsupportedError", "Model"}


def test_damaged_bytes_are_refused_or_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = np.frombuffer(_varied().SerializeToString(), np.uint8)
    found = set()
    for _ in range(600):
        damaged = data.copy()
        damaged[rng.integers(len(data), size=rng.integers(1, 4))] = rng.integers(256)
        found.add(_load_or_refuse(tmp_path / "damaged.onnx", damaged.tobytes()))
    assert found == {"InputError", "UnsupportedError", Model.__name__}


def _varied() -> onnx.ModelProto:
    """Many operators and few weights, so that damage hits structure."""
    nodes = [
        node("Sub", "x m", "d"),
        node("Conv", "d k", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "c s t s v", "n"),
        node("Relu", "n", "r"),
        node("Shape", "r", "dims"),
        node("Gather", "dims zero", "batch"),
        node("Unsqueeze", "batch front", "b1"),
        node("Concat", "b1 minus", "target", axis=0),
        node("Reshape", "r target", "f"),
        node("MatMul", "f w", "y"),
    ]
    integers = {"zero": np.array(0), "front": np.array([0]), "minus": np.array([-1])}
    small = {"m": normal(1, 1, 1), "k": normal(1, 1, 2, 2), "s": normal(1), "t": normal(1), "v": normal(1) ** 2}
    return make(nodes, ["batch", 1, 2, 2], {**small, "w": normal(4, 2), **integers})


def test_reading_a_network_never_loads_torch() -> None:
    code = "import sys, glscert.verifier.graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
