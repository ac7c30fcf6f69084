"""ONNX files that are wrong, or meant to hurt: a sentence and its exit code, bounded memory, never a wrong verdict."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from glscert.verifier import load
from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.graph import load_model
from glscert.verifier.graph.load import from_proto
from onnx_models import changed, make, mlp, mlp_consts, mlp_nodes, node, normal, one, weight


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


def clipped(**ends: float) -> onnx.ModelProto:
    return one("Clip", "x min max", **{name: np.float32(ends.get(name, 0)) for name in ("min", "max")})


UNSUPPORTED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
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
    "a stride of 2^40": (
        lambda: make([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2**40, 1])], ["b", 1, 4, 4], {}),
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
    "external data": (lambda: changed(external), "second file.*by its path"),
    "external data in a constant": (external_constant, "second file"),
    "a redefined operator": (
        lambda: changed(lambda p: p.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [], []))),
        "redefines",
    ),
    "a huge input": (lambda: mlp(("batch", 2**40)), "at most"),
    "huge pads": (
        lambda: make([node("Conv", "x k", "y", pads=[2**30] * 4)], ["b", 1, 4, 4], {"k": normal(1, 1, 2, 2)}),
        r"Conv \(node 'y'\) would give a value of shape",
    ),
    "a factor that is no number": (
        lambda: make([node("Swish", "x", "y", alpha=float("nan"))], ["batch", 6], {}, opset=24),
        "has nan for its alpha",
    ),
    "a choice by numbers": (lambda: one("Where", "c x x", c=np.float32(1)), "chooses by float32"),
    "a limit that is no number": (lambda: clipped(min=np.nan), "has nan for its min"),
    "a lower limit above all": (lambda: clipped(min=np.inf, max=np.inf), "has inf for its min"),
    "an upper limit below all": (lambda: clipped(min=-np.inf, max=-np.inf), "has -inf for its max"),
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
    "an operand without a name": (
        lambda: one("Max", "x c -", c=normal(6)),
        r"Max \(node 'y'\) has no name for operand 3",
    ),
    "an operand without a name, joined": (lambda: one("Concat", "x - x", axis=1), "no name for operand 2 of 3"),
    "an operand too many": (lambda: one("Relu", "x x"), "breaks the ONNX standard"),
    "an index that no integer holds": (
        lambda: make(
            [node("Cast", "c", "i", to=TensorProto.INT64), node("Gather", "x i", "y", axis=1)],
            ["batch", 6],
            {"c": np.float32(1e30)},
        ),
        "numbers that int64 does not hold",
    ),
    "constants that double": (doubling, "more than"),
    "opsets that contradict": (lambda: changed(lambda p: p.opset_import.add(domain="", version=14)), "exactly one"),
    "an input twice": (lambda: changed(lambda p: p.graph.input.append(p.graph.input[0])), "declares an input twice"),
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


def dead(case: str) -> onnx.ModelProto:
    """A network beside which stands what its output does not depend on."""
    consts = {**mlp_consts(), "shape": np.array([2**31, 6]), "yes": np.array(True)}
    if case == "an external file":
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="../../etc/passwd")
        output = helper.make_tensor_value_info("s", TensorProto.FLOAT, [3])
        branch = helper.make_graph([node("Identity", "w", "s")], "branch", [], [output], [tensor])
        return make([*mlp_nodes(), node("If", "yes", "z", then_branch=branch, else_branch=branch)], ["b", 6], consts)
    return make([*mlp_nodes(), node(case, "x shape" if case == "Expand" else "shape", "z")], ["b", 6], consts)


@pytest.mark.parametrize("case", ["Expand", "ConstantOfShape", "an external file"])
def test_what_the_output_does_not_need_is_not_run(case: str, tmp_path: Path) -> None:
    path, plain = tmp_path / "dead.onnx", tmp_path / "plain.onnx"
    path.write_bytes(dead(case).SerializeToString())
    plain.write_bytes(mlp().SerializeToString())
    x = np.ones((2, 6), np.float32)
    assert np.array_equal(load(path).runtime.logits(x), load(plain).runtime.logits(x))


@pytest.mark.parametrize("kind", ["bytes", "fields"])
def test_damaged_files_are_refused_or_answered_rightly(kind: str, tmp_path: Path) -> None:
    """In a process of its own, which a crash of onnxruntime or onnx would end; see `damage.py`."""
    command = [sys.executable, str(Path(__file__).with_name("damage.py")), kind, "300", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert {"InputError", "UnsupportedError", "sat", "unsat"} <= found["ends"].keys()
    assert found["ends"].keys() <= {"InputError", "UnsupportedError", "sat", "unsat", "unknown", "timeout", "left out"}


PROPERTY = "".join(f"(declare-const {name} Real)" for name in (*(f"X_{i}" for i in range(6)), "Y_0", "Y_1", "Y_2"))
PROPERTY += "".join(f"(assert (<= X_{i} 1)) (assert (>= X_{i} 0))" for i in range(6)) + "(assert (>= Y_0 0))"
COMMANDS: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "a cut file": (lambda: mlp().SerializeToString()[:150], PROPERTY, 2),
    "a file of zeros": (lambda: bytes(100 * 2**20), PROPERTY, 2),
    "a packed bomb": (lambda: gzip.compress(bytes(600 * 2**20), 1), PROPERTY, 2),
    "NaN": (
        lambda: make(mlp_nodes(), ["b", 6], mlp_consts() | {"b1": np.full(5, np.nan, np.float32)}).SerializeToString(),
        PROPERTY,
        2,
    ),
    "a cycle": (lambda: BAD["a cycle"][0]().SerializeToString(), PROPERTY, 2),
    "external data": (lambda: changed(external).SerializeToString(), PROPERTY, 4),
    "2^40 inputs": (lambda: mlp(("batch", 2**40)).SerializeToString(), PROPERTY, 4),
    "deep parentheses": (lambda: mlp().SerializeToString(), PROPERTY + "(assert " + "(and " * 10**6, 4),
    "a million variables": (
        lambda: mlp().SerializeToString(),
        "".join(f"(declare-const X_{i} Real)\n" for i in range(10**6)),
        2,
    ),
    "an empty box": (lambda: mlp().SerializeToString(), PROPERTY + "(assert (>= X_3 2))", 2),
    "10^12 cases": (lambda: mlp().SerializeToString(), PROPERTY + "(assert (or (<= Y_1 0) (>= Y_2 1)))" * 40, 4),
}


MEMORY = 4 * 2**30  # addresses of a process


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_says_one_sentence(case: str, tmp_path: Path) -> None:
    """No verdict, no traceback, an exit code of its own; in a process of bounded memory."""
    build, text, code = COMMANDS[case]
    model, prop = tmp_path / "model.onnx", tmp_path / "p.vnnlib"
    model.write_bytes(build())
    prop.write_text(text)
    run = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))\n"
    run += "from glscert.cli.main import main; main()"
    command = [sys.executable, "-c", run, "verify", str(model), "--vnnlib", str(prop), "--timeout", "10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("glscli: ") and "Traceback" not in done.stderr and len(done.stderr) < 1500
