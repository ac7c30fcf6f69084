"""Small files that ask for much: refused before the memory is taken, or read in time that grows with their length."""

import gzip
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import helper

from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.graph import load_model
from glscert.verifier.graph.builder import MAX_GROWTH
from glscert.verifier.graph.load import from_proto
from glscert.verifier.graph.names import Names
from glscert.verifier.graph.wire import check_parsed_size
from onnx_models import make, mlp, node

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
    """One bias, in as many multiples."""
    nodes = [node("Relu", "x", "t0")]
    nodes += [node("Gemm", f"t{i} w c", f"t{i + 1}", beta=2.0 + i) for i in range(count)]
    consts = {"w": np.ones((1, 1), np.float32), "c": np.ones((2**20, 1), np.float32)}
    return make([*nodes, node("Relu", f"t{count}", "y")], (2**20, 1), consts)


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
    "multiples of a bias": lambda: scaled(80),
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


def part(number: int, content: bytes) -> bytes:
    """A field of a serialised message that holds `content`."""
    length, head = len(content), bytes([number << 3 | 2])
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + content


GRAPHS: dict[str, bytes] = {
    "nodes of nothing": part(1, b"") * 2_000_000,
    "weights of nothing": part(5, b"") * 2_000_000,
    "names of nothing": part(1, part(1, b"") * 2_200_000),
    "attributes of nothing": part(1, part(5, b"") * 2_000_000),
    "numbers of a byte": part(5, part(7, bytes(2**26))),
    "numbers of a field": part(5, b"\x38\x00" * 2_200_000),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_file_that_grows_as_it_is_parsed_is_refused_before(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(gzip.compress(b"\x08\x08" + part(7, GRAPHS[name]) + part(8, b"\x10\x0d"), 1))
    began = time.process_time()
    with pytest.raises(InputError, match="m.onnx: it has so many parts"):
        load_model(path)
    assert time.process_time() - began < _SECONDS


def test_large_weights_grow_no_more() -> None:
    proto = make([node("MatMul", "x w", "y")], ("b", 2**12), {"w": np.zeros((2**12, 2**12), np.float32)})
    check_parsed_size(proto.SerializeToString())


def test_every_cut_of_a_file_is_found_or_harmless() -> None:
    """What is walked through to its end is what protobuf parses."""
    data = mlp().SerializeToString()
    for end in range(len(data)):
        try:
            onnx.ModelProto.FromString(data[:end])
        except DecodeError:
            with pytest.raises(ValueError, match="cut short"):
                check_parsed_size(data[:end])
        else:
            check_parsed_size(data[:end])


def test_too_many_nodes() -> None:
    proto = make([node("Relu", "x", "y")], ("b", 4), {})
    proto.graph.node.extend([proto.graph.node[0]] * 100_000)
    with pytest.raises(UnsupportedError, match="100001 nodes; supported: at most 100000"):
        from_proto(proto)
