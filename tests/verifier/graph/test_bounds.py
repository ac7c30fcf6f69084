"""Small files that ask for much: refused before the memory is taken, or read in time that grows with their length."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

from glscert.verifier.errors import InputError
from glscert.verifier.graph.builder import MAX_GROWTH
from glscert.verifier.graph.load import from_proto
from glscert.verifier.graph.names import Names
from onnx_models import make, node

_MANY = 4000
_SECONDS = 10.0  # of the processor; what looks at every pair takes minutes


def flips(count: int) -> onnx.ModelProto:
    nodes = [node("Slice", f"t{i} s e a b", f"t{i + 1}") for i in range(count)]
    nodes = [node("Relu", "x", "t0"), *nodes, node("Relu", f"t{count}", "y")]
    ends = {"s": np.array([2**20]), "e": np.array([-(2**40)]), "a": np.array([1]), "b": np.array([-1])}
    return make(nodes, ("b", 2**20), ends)


def border(after: int) -> onnx.ModelProto:
    consts = {"p": np.array([0, 0, 0, after]), "v": np.float32(1)}
    return make([node("Pad", "x p v", "y")], ("b", 4), consts)


def joined(count: int) -> onnx.ModelProto:
    nodes = [node("Relu", "x", "t0")]
    for i in range(count):
        nodes += [node("Concat", f"t{i} k", f"u{i}", axis=1), node("Slice", f"u{i} s e a", f"t{i + 1}")]
    cut = {"s": np.array([0]), "e": np.array([4]), "a": np.array([1])}
    return make([*nodes, node("Relu", f"t{count}", "y")], ("b", 4), {"k": np.ones((1, 2**22), np.float32)} | cut)


def scaled(count: int) -> onnx.ModelProto:
    """One matrix, in as many multiples."""
    nodes = [node("Relu", "x", "t0")]
    nodes += [node("Gemm", f"t{i} w", f"t{i + 1}", alpha=2.0 + i) for i in range(count)]
    return make([*nodes, node("Relu", f"t{count}", "y")], ("b", 1024), {"w": np.eye(1024, dtype=np.float32)})


MUCH: dict[str, Callable[[], onnx.ModelProto]] = {
    "an average of large windows": lambda: make(
        [node("AveragePool", "x", "y", kernel_shape=[1024, 1024], pads=[512, 512, 511, 511], count_include_pad=1)],
        ("b", 2048, 1, 1),
        {},
    ),
    "averages of many places": lambda: make(
        [node("AveragePool", "x", "y", kernel_shape=[1, 1024], pads=[0, 512, 0, 511])], ("b", 1, 1, 2**26), {}
    ),
    "a maximum of many channels": lambda: make(
        [node("MaxPool", "x", "y", kernel_shape=[1, 1024], strides=[1, 1024])], ("b", 1000, 1, 1024), {}
    ),
    "a border": lambda: border(2**26),
    "constants beside": lambda: joined(20),
    "multiples of a matrix": lambda: scaled(80),
    "a choice": lambda: make(
        [node("Where", "c x z", "y")], ("b", 1, 1), {"c": np.ones((1, 8192, 8192), bool), "z": np.float32(1)}
    ),
    "a limit for each entry": lambda: make([node("Max", "x c", "y")], ("b", 2**26), {"c": np.ones((1, 1), np.float32)}),
}


@pytest.mark.parametrize("name", MUCH)
def test_what_reading_makes_is_bounded_in_all_before_it_is_made(name: str) -> None:
    proto = MUCH[name]()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="bytes beyond what it holds"):
            from_proto(proto)
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_GROWTH
    finally:
        tracemalloc.stop()


def test_indices_count_too() -> None:
    with pytest.raises(InputError, match="bytes beyond what it holds"):
        from_proto(flips(8))


@pytest.mark.parametrize("proto", [flips(2), border(2**16), joined(1), scaled(2)], ids=["flip", "pad", "join", "scale"])
def test_less_of_it_is_read(proto: onnx.ModelProto) -> None:
    assert from_proto(proto).graph.nodes


def many_inputs() -> onnx.ModelProto:
    names = [f"x{i}" for i in range(_MANY)]
    proto = make(
        [node("Concat", " ".join(names), "y", axis=1)], ("b", 1), {f"w{i}": np.float32(0) for i in range(_MANY)}
    )
    del proto.graph.input[:]
    proto.graph.input.extend(helper.make_tensor_value_info(name, 1, ["b", 1]) for name in names)
    return proto


def many_outputs() -> onnx.ModelProto:
    proto = make([node("Neg", "x", f"y{i}") for i in range(_MANY)], ("b", 100), {})
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(f"y{i}", 1, ["b", 100]) for i in range(_MANY))
    return proto


def one_name() -> onnx.ModelProto:
    nodes = [node("Abs", f"t{i}" if i else "x", f"t{i + 1}", name="n") for i in range(_MANY)]
    return make([*nodes, node("Relu", f"t{_MANY}", "y")], ("b", 4), {})


def many_taps() -> onnx.ModelProto:
    pools = [node("MaxPool", "x", f"t{i}", kernel_shape=[1, 1024]) for i in range(2)]
    return make([*pools, node("Add", "t0 t1", "y")], ("b", 1, 1, 1024), {})


@pytest.mark.parametrize("build", [many_inputs, many_outputs, one_name, many_taps])
def test_reading_looks_at_no_pairs(build: Callable[[], onnx.ModelProto]) -> None:
    proto, began = build(), time.process_time()
    assert from_proto(proto).graph.nodes
    assert time.process_time() - began < _SECONDS


def test_a_name_like_another_is_found_at_once() -> None:
    names, began = Names(["n", "n.3"]), time.process_time()
    found = [names.fresh("n") for _ in range(30_000)]
    assert found[:3] == ["n.2", "n.4", "n.5"] and len(set(found)) == len(found)
    assert time.process_time() - began < _SECONDS
