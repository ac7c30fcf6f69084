"""Several inputs and outputs: entries are counted through all of them, in the order of the file."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier import Verdict, load, robustness, verify
from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.run.labels import task_of
from glscert.verifier.settings import Settings
from onnx_models import node, normal

A, B, C = normal(3, 5), normal(4, 5), normal(5, 2)


def network(tmp_path, batch="N", dtype=np.float32):
    """From left [batch, 3] and right [batch, 2, 2] to scores [batch, 2] and hidden [batch, 5, 1]."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = lambda name, *dims: helper.make_tensor_value_info(name, kind, dims)  # noqa: E731
    nodes = [
        node("Flatten", "right", "f"), node("MatMul", "left a", "l"), node("MatMul", "f b", "g"),
        node("Add", "l g", "s"), node("Relu", "s", "r"), node("MatMul", "r c", "scores"),
        node("Unsqueeze", "r last", "hidden"),
    ]  # fmt: skip
    consts = {"a": A.astype(dtype), "b": B.astype(dtype), "c": C.astype(dtype), "last": np.array([2])}
    graph = helper.make_graph(
        nodes, "two", [tensor("left", batch, 3), tensor("right", batch, 2, 2)],
        [tensor("scores", batch, 2), tensor("hidden", batch, 5, 1)],
        [numpy_helper.from_array(array, name) for name, array in consts.items()],
    )  # fmt: skip
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def run(path, row, batch=1, dtype=np.float32):
    """onnxruntime itself on a row of 7 entries."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    left, right = row[:3].reshape(1, 3).astype(dtype), row[3:].reshape(1, 2, 2).astype(dtype)
    feed = {"left": np.repeat(left, batch, 0), "right": np.repeat(right, batch, 0)}
    return np.concatenate([output[0].ravel() for output in session.run(None, feed)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", ["N", 1, 6])
def test_entries_are_those_of_onnxruntime(batch, dtype, tmp_path):
    path = network(tmp_path, batch, dtype)
    found = load(path)
    assert found.graph.input_shape == (7,) and found.graph.output_shape == (7,)
    x = np.random.default_rng(0).random((8, 7)).astype(np.float32)
    wanted = np.stack([run(path, row, batch if isinstance(batch, int) else 1, dtype) for row in x])
    np.testing.assert_allclose(found.runtime.logits(x), wanted, atol=1e-5)


VERSION1 = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(7))
VERSION1 += "".join(f"(declare-const Y_{i} Real)" for i in range(7))
VERSION2 = """(vnnlib-version <2.0>)
(declare-network f
    (declare-input a Real [1,3] {})
    (declare-input b Real [1,2,2] {})
    (declare-output y Real [1,2])
    (declare-output h Real [1,5,1])
)
"""
VERSION2 += "".join(f"(assert (and (>= a[0,{i}] 0) (<= a[0,{i}] 1)))" for i in range(3))
VERSION2 += "".join(f"(assert (and (>= b[0,{i},{j}] 0) (<= b[0,{i},{j}] 1)))" for i in (0, 1) for j in (0, 1))
PLAIN = VERSION2.format("", "")


def largest(entry):
    """Of output 2 + entry, hidden[0,entry,0]: a ReLU of one row of both matrices."""
    column = np.concatenate([A[:, entry], B[:, entry]])
    return float(np.maximum(column, 0).sum())


@pytest.mark.parametrize("entry", [0, 4])
@pytest.mark.parametrize("version", [1, 2])
def test_properties(version, entry, tmp_path):
    path, most = network(tmp_path), largest(entry)
    for least, answer in ((most * 1.01, Verdict.VERIFIED), (most * 0.5, Verdict.FALSIFIED)):
        bad = f"(assert (>= Y_{2 + entry} {least}))" if version == 1 else f"(assert (>= h[0,{entry},0] {least}))"
        (tmp_path / "p.vnnlib").write_text((VERSION1 if version == 1 else PLAIN) + bad)
        found = verify(path, tmp_path / "p.vnnlib", timeout=10)
        assert found.verdict is answer
        if answer is Verdict.FALSIFIED:
            np.testing.assert_allclose(run(path, found.witness.x), found.witness.y, atol=1e-6)
            assert found.witness.y[2 + entry] >= least


def test_a_witness_is_written_tensor_by_tensor(tmp_path):
    path = network(tmp_path)
    (tmp_path / "q.vnnlib").write_text(PLAIN + f"(assert (>= h[0,4,0] {largest(4) * 0.5}))")
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "q.vnnlib"), "--network", f"f={path}"])
    lines = done.stdout.splitlines()
    heads = {"a Real [1,3]": 3, "b Real [1,2,2]": 4, "y Real [1,2]": 2, "h Real [1,5,1]": 5}
    assert done.exit_code == 1 and lines[0] == "sat"
    assert [line for line in lines[1:] if "Real" in line] == list(heads)
    numbers = [float(line) for line in lines[1:] if "Real" not in line]
    assert len(numbers) == 14
    np.testing.assert_allclose(run(path, np.float32(numbers[:7])), numbers[7:], atol=1e-6)

    options = ["--network", f"f={path}", "--serialise-assignments", str(tmp_path / "out")]
    CliRunner().invoke(app, ["verify", str(tmp_path / "q.vnnlib"), *options])
    tensors = {file.stem: numpy_helper.to_array(onnx.load_tensor(file)) for file in (tmp_path / "out").iterdir()}
    assert {name: array.shape for name, array in tensors.items()} == {
        "a": (1, 3), "b": (1, 2, 2), "y": (1, 2), "h": (1, 5, 1),
    }  # fmt: skip


def test_labelled_inputs_are_rows_of_all_entries(tmp_path):
    path = network(tmp_path)
    with pytest.raises(UnsupportedError, match="outputs scores, hidden; .* one vector of class scores"):
        task_of(load(path), Settings(eps=0.1))
    proto = onnx.load(path)
    proto.graph.output.pop()
    onnx.save(proto, path)
    x = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    y = np.array([int(run(path, row).argmax()) for row in x])
    np.savez(tmp_path / "d.npz", x=x, y=y)
    answers = robustness(path, x, y, 1e-4, timeout=5)
    assert {answer.verdict for answer in answers} == {Verdict.VERIFIED}
    done = CliRunner().invoke(app, ["verify", str(path), "--data", str(tmp_path / "d.npz"), "--eps", "1e-4"])
    assert done.exit_code == 0


REFUSED = {
    "other sizes": (
        PLAIN.replace("[1,3]", "[1,4]").replace("[1,2,2]", "[1,3]", 1),
        "a of 4, b of 3, but .* left of 3,",
    ),
    "one tensor for both": (
        PLAIN[: PLAIN.index("(assert")].replace("(declare-input b Real [1,2,2] )", "").replace("[1,3]", "[7]"),
        "a of 7, but the network has left of 3, right of 4",
    ),
    "another order": (VERSION2.format('"right"', '"left"'), r"right of 3, left of 4, but .* in its order"),
    "too few": (PLAIN.replace("[1,2,2]", "[1,2]", 1), "a, b have 5 elements, but the network has 7 inputs"),
    "a name twice": (PLAIN.replace("input b", "input a"), "both called 'a'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_declarations_that_are_not_the_network_s(name, tmp_path):
    text, words = REFUSED[name]
    (tmp_path / "p.vnnlib").write_text(text)
    with pytest.raises(InputError, match=words):
        verify(network(tmp_path), tmp_path / "p.vnnlib")


def test_names_in_the_file_s_order(tmp_path):
    (tmp_path / "p.vnnlib").write_text(VERSION2.format('"left"', '"right"') + "(assert (>= h[0,0,0] 100))")
    assert verify(network(tmp_path), tmp_path / "p.vnnlib", timeout=5).verdict is Verdict.VERIFIED


def test_inspect_names_the_tensors_in_their_order(tmp_path):
    done = CliRunner().invoke(app, ["inspect", str(network(tmp_path))])
    assert done.exit_code == 0
    assert "takes: in this order left (3 numbers), right (4 numbers)\n" in done.stdout
    assert "gives: in this order scores (2 numbers), hidden (5 numbers)\n" in done.stdout


def test_two_networks_cannot_be_compared_yet(tmp_path):
    path = network(tmp_path)
    second = "(declare-network g (equal-to f) (declare-input u Real [1,7]) (declare-output v Real [1,7]))"
    (tmp_path / "q.vnnlib").write_text(PLAIN.replace("\n)\n", f"\n)\n{second}\n", 1))
    given = ["--network", f"f={path}", "--network", f"g={path}"]
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "q.vnnlib"), *given])
    assert done.exception.exit_code == 4 and "comparing two networks is not supported yet" in str(done.exception)


def test_an_output_that_another_follows_from(tmp_path):
    """The same value, and an input passed on, may be outputs too."""
    path = network(tmp_path)
    proto = onnx.load(path)
    proto.graph.output.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ("N", 5)))
    proto.graph.output.append(helper.make_tensor_value_info("left", TensorProto.FLOAT, ("N", 3)))
    onnx.save(proto, path)
    x = np.random.default_rng(0).random((3, 7)).astype(np.float32)
    found = load(path).runtime.logits(x)
    assert found.shape == (3, 15) and np.array_equal(found[:, 12:], x[:, :3])
