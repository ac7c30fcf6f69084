"""A graph that is not the file's network is refused before anything is said about it, with the node where it begins."""

import dataclasses
from functools import partial

import numpy as np
import onnx
import pytest

from glscert.export.onnx import onnx_model
from glscert.verifier import load, robustness, verify
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph import translate
from onnx_models import make, node, normal
from random_graphs import CURVED, GRAPHS


def saved(tmp_path, proto: onnx.ModelProto):
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def network() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x k", "c", name="convolve", pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "p", name="largest", kernel_shape=[2, 2], strides=[2, 2]),
        node("LeakyRelu", "p", "l", name="leak", alpha=0.1),
        node("Transpose", "l", "t", name="turn", perm=[0, 2, 3, 1]),
        node("Tanh", "t", "h", name="curve"),
        node("Flatten", "h", "f"),
        node("Gemm", "f w b", "g", name="last"),
        node("Relu", "g", "y"),
    ]
    consts = {"k": normal(3, 2, 3, 3), "w": normal(12, 4), "b": normal(4)}
    return make(nodes, ("batch", 2, 4, 4), consts)


def changed(attribute, value):
    """The translation of a node with another attribute."""

    def wrong(right, builder, node):
        right(builder, dataclasses.replace(node, attrs={**node.attrs, attribute: value}))

    return wrong


def forgetful(right, builder, node):
    """Takes the node for one that passes its input on."""
    value = builder.value(node.inputs[0])
    builder.bind(node, value.name, value.dims)


def shaped(right, builder, node):
    right(builder, node)
    value = builder.value(node.outputs[0])
    builder.bind(node, value.name, (*value.dims, 1))


WRONG = {
    "Conv": (changed("pads", (2, 2, 0, 0)), r"operator Conv \(node 'convolve'\)"),
    "MaxPool": (changed("kernel_shape", (1, 2)), r"operator MaxPool \(node 'largest'\)"),
    "LeakyRelu": (changed("alpha", 0.1001), r"operator LeakyRelu \(node 'leak'\)"),
    "Transpose": (changed("perm", (0, 1, 2, 3)), r"operator Transpose \(node 'turn'\).*shape \[1, 2, 2, 3\]"),
    "Tanh": (forgetful, r"operator Tanh \(node 'curve'\)"),
    "Gemm": (changed("alpha", -1.0), r"operator Gemm \(node 'last'\)"),
    "Relu": (shaped, r"operator Relu \(node 'y'\).*the shape \[1, 4\], glscert \[1, 4, 1\]"),
}


@pytest.mark.parametrize("operator", WRONG)
def test_a_wrong_translation_is_refused_with_its_node(operator, tmp_path, monkeypatch):
    wrong, words = WRONG[operator]
    right = translate.TRANSLATIONS[operator]
    monkeypatch.setitem(translate.TRANSLATIONS, operator, partial(wrong, right))
    with pytest.raises(UnsupportedError, match=f"net.onnx: .* at {words}") as caught:
        load(saved(tmp_path, network()))
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["Softmax", "LogSoftmax", "ArgMax"])
def test_behind_an_ending_logits_are_compared(ending, tmp_path, monkeypatch):
    """Where probabilities are 0 and 1 whatever the logits."""
    nodes = [node("Gemm", "x w b", "l", name="logits"), node(ending, "l", "y", axis=1)]
    consts = {"w": normal(6, 3), "b": np.float32([1000, 0, 0])}
    path = saved(tmp_path, make(nodes, ("batch", 6), consts, answer=np.int64 if ending == "ArgMax" else None))
    load(path)
    monkeypatch.setitem(translate.TRANSLATIONS, "Gemm", partial(changed("beta", 1.01), translate.TRANSLATIONS["Gemm"]))
    with pytest.raises(UnsupportedError, match=r"operator Gemm \(node 'logits'\)"):
        load(path)


def far(tmp_path, monkeypatch):
    """A network that is read wrongly far from 0 alone: x - relu(x - 100) without the second part."""
    nodes = [node("Clip", "x - m", "c", name="limit"), node("Gemm", "c w", "y")]
    path = saved(tmp_path, make(nodes, ("batch", 2), {"m": np.float32(100), "w": normal(2, 2)}))
    monkeypatch.setitem(translate.TRANSLATIONS, "Clip", partial(forgetful, None))
    return path


def test_the_region_that_is_asked_about_is_looked_at(tmp_path, monkeypatch):
    path = far(tmp_path, monkeypatch)
    text = "(vnnlib-version <2.0>) (declare-network f (declare-input X Real [2]) (declare-output Y Real [2]))"
    text += "".join(f"(assert (and (>= X[{i}] 200) (<= X[{i}] 300)))" for i in (0, 1)) + "(assert (<= Y[0] -1e6))"
    (tmp_path / "p.vnnlib").write_text(text)
    with pytest.raises(UnsupportedError, match=r"operator Clip \(node 'limit'\)"):
        verify(path, tmp_path / "p.vnnlib", timeout=5)


def test_the_region_of_labelled_inputs_is_looked_at(tmp_path, monkeypatch):
    network = load(far(tmp_path, monkeypatch))
    x, y = np.float32([[200, 250]]), np.array([0])
    with pytest.raises(UnsupportedError, match=r"operator Clip \(node 'limit'\)"):
        robustness(network, x, y, 1, low=0, high=1000)


def test_what_float32_does_to_a_chaotic_network_is_no_difference(tmp_path):
    """x to 4 x (1 - x), 20 times over: each step may double an error."""
    nodes, x = [], "x"
    for step in range(20):
        nodes += [node("Mul", f"{x} {x}", f"s{step}"), node("Sub", f"{x} s{step}", f"d{step}")]
        nodes += [node("Mul", f"d{step} four", f"v{step}")]
        x = f"v{step}"
    nodes.append(node("Relu", x, "y"))
    network = load(saved(tmp_path, make(nodes, (1, 3), {"four": np.float32(4)})))
    x = np.random.default_rng(1).random((20, 3)).astype(np.float32)
    assert np.abs(network.engine.evaluate(x) - network.runtime.logits(x)).max() > 1e-3
    network.check(np.zeros((30, 3)), np.ones((30, 3)))


def test_what_overflows_in_float32_is_no_difference(tmp_path):
    nodes = [node("Mul", "x c", "a"), node("Mul", "a c", "b"), node("Mul", "b d", "y")]
    consts = {"c": np.float32(1e30), "d": np.float32(1e-30)}
    network = load(saved(tmp_path, make(nodes, ("batch", 2), consts)))
    assert np.isinf(network.runtime.logits(np.ones((1, 2), np.float32))).all()


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_every_random_graph_agrees_with_its_file(name, tmp_path):
    graph, params = (GRAPHS | CURVED)[name](np.random.default_rng(3))
    singles = {key: value.astype(np.float32) for key, value in params.items()}
    network = load(saved(tmp_path, onnx_model(graph, singles, {})))
    assert network.graph.input_shape == graph.input_shape
