"""Functions of a file's own are written out, and run by onnxruntime as they are."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.graph.load import from_proto
from glscert.verifier.graph.survey import survey
from onnx_models import agree, make, node, normal


def function(name: str, *nodes: onnx.NodeProto, attributes=(), domain: str = "own", opset: int = 13):
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_function(domain, name, ["a"], ["b"], list(nodes), imports, list(attributes))


def called(op: str, inputs: str, output: str, **attrs: object) -> onnx.NodeProto:
    made = node(op, inputs, output, **attrs)
    made.domain = "own"
    return made


def model(*functions: onnx.FunctionProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    nodes = nodes or [called("F", "x", "r"), node("Gemm", "r w", "y")]
    proto = make(nodes, ("b", 6), {"w": normal(6, 3)})
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.functions.extend(functions)
    return proto


def bent() -> onnx.FunctionProto:
    """|a| - relu(a) / 2, with names that the network has too."""
    half = onnx.numpy_helper.from_array(np.float32(0.5))
    nodes = [
        node("Abs", "a", "r"),
        node("Relu", "a", "w"),
        node("Constant", "", "h", value=half),
        node("Mul", "w h", "y"),
        node("Sub", "r y", "b"),
    ]
    return function("F", *nodes)


def with_attribute() -> onnx.FunctionProto:
    leaky = node("LeakyRelu", "a", "b")
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    return function("F", leaky, attributes=["slope"])


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "one": lambda: model(bent()),
    "twice": lambda: model(bent(), nodes=[called("F", "x", "q"), called("F", "q", "r"), node("Gemm", "r w", "y")]),
    "nested": lambda: model(
        function("F", called("G", "a", "r"), node("Neg", "r", "b")), function("G", node("Relu", "a", "b"))
    ),
    "an attribute": lambda: model(
        with_attribute(), nodes=[called("F", "x", "r", slope=0.3), node("Gemm", "r w", "y")]
    ),
    "a constant a few times": lambda: model(heavy(), nodes=calls(3)),
    "not called": lambda: model(bent(), nodes=[node("Gemm", "x w", "y")]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_functions(name: str, tmp_path) -> None:
    proto = MODELS[name]()
    agree(proto)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    assert not survey(path).problems


def doubling(levels: int) -> onnx.ModelProto:
    inner = [function(f"G{i}", called(f"G{i + 1}", "a", "c"), called(f"G{i + 1}", "c", "b")) for i in range(levels)]
    return model(function("F", called("G0", "a", "b")), *inner, function(f"G{levels}", node("Relu", "a", "b")))


def calls(count: int, **attrs: object) -> list[onnx.NodeProto]:
    nodes = [called("F", f"t{i}" if i else "x", f"t{i + 1}", **attrs) for i in range(count)]
    return [*nodes, node("Gemm", f"t{count} w", "y")]


def heavy() -> onnx.FunctionProto:
    """With a constant of 2^20 bytes that nothing reads."""
    zeros = onnx.numpy_helper.from_array(np.zeros(2**18, np.float32))
    return function("F", node("Constant", "", "k", value=zeros), node("Relu", "a", "b"))


def repeating(times: int) -> onnx.FunctionProto:
    """An attribute of the call as so many constants, which nothing reads."""
    constants = [node("Constant", "", f"k{i}") for i in range(times)]
    for constant in constants:
        constant.attribute.add(name="value", ref_attr_name="v", type=onnx.AttributeProto.TENSOR)
    return function("F", *constants, node("Relu", "a", "b"), attributes=["v"])


def long_name(length: int, times: int) -> onnx.ModelProto:
    inner = [node("Relu", "a", f"r{i}") for i in range(times)]
    nodes = [node("Relu", "x", "n" * length), called("F", "n" * length, "r"), node("Gemm", "r w", "y")]
    return model(function("F", *inner, node("Relu", "a", "b")), nodes=nodes)


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], type[GlscertError], str]] = {
    "itself": (lambda: model(function("F", called("F", "a", "b"))), InputError, "'F' calls itself"),
    "in a circle": (
        lambda: model(function("F", called("G", "a", "b")), function("G", called("F", "a", "b"))),
        InputError,
        "calls itself",
    ),
    "2^60 nodes": (lambda: doubling(60), UnsupportedError, "more than 100000 nodes"),
    "a constant again and again": (lambda: model(heavy(), nodes=calls(300)), UnsupportedError, "268435456 bytes"),
    "a call's constant again and again": (
        lambda: model(
            repeating(300), nodes=calls(1, v=onnx.numpy_helper.from_array(np.zeros(2**18, np.float32)))
        ),
        UnsupportedError,
        "268435456 bytes",
    ),
    "a long name again and again": (lambda: long_name(2**20, 300), UnsupportedError, "268435456 bytes"),
    "a long chain": (
        lambda: model(
            function("F", called("G0", "a", "b")),
            *(function(f"G{i}", called(f"G{i + 1}", "a", "b")) for i in range(200)),
            function("G200", node("Relu", "a", "b")),
        ),
        InputError,
        "too deeply",
    ),
    "an unknown operator in it": (
        lambda: model(function("F", node("Erff", "a", "b"))),
        UnsupportedError,
        "Erff",
    ),
    "no such function": (lambda: model(nodes=[called("F", "x", "y")]), UnsupportedError, "own.F"),
    "another opset": (lambda: model(function("F", node("Relu", "a", "b"), opset=9)), UnsupportedError, "own.F"),
    "a standard name": (lambda: model(function("Relu", node("Neg", "a", "b"), domain="")), UnsupportedError, "redefin"),
    "operands that it does not have": (
        lambda: model(bent(), nodes=[called("F", "x w", "r"), node("Gemm", "r w", "y")]),
        InputError,
        "Export",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    build, kind, words = REFUSED[case]
    with pytest.raises(kind, match=words) as caught:
        from_proto(build())
    assert str(caught.value).endswith(".")
