"""Damages small ONNX files at random and verifies what can still be read: `damage.py bytes|fields COUNT FOLDER`.

Prints one JSON object: how each file ended, and the numbers of those whose verdict random points contradict.
"""

import json
import resource
import sys
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1]))

from glscert.verifier import Clause, Network, Query, Row, Verdict, load, verify
from glscert.verifier.errors import GlscertError
from onnx_models import make, mlp, node, normal

WHOLE = [0, -1, 1, 2, 3, 5, -2, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]
REAL = [0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-45]
OPERATORS = ["Relu", "Clip", "Pad", "Expand", "Resize", "Gather", "MaxPool", "Softmax", "ArgMax", "Flatten", "Cast"]
OPERATORS += ["ConstantOfShape", "Range", "Concat", "ReduceSum", "Selu", "Mul", "MatMul", "Slice", "Dropout", "Pow"]
ROUNDING = 1e-4  # of the largest output: what float32 may differ by from real arithmetic
MOST_INPUTS = 10_000
MEMORY = 12 * 2**30  # addresses, of which onnxruntime alone reserves most


def shaped() -> onnx.ModelProto:
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


def windowed() -> onnx.ModelProto:
    nodes = [
        node("Clip", "x lo hi", "c"),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[1, 1]),
        node("Pad", "p pads", "q"),
        node("LeakyRelu", "q", "l", alpha=0.1),
        node("Resize", "l - scales", "z", mode="nearest"),
        node("Slice", "z first last axes", "s"),
        node("AveragePool", "s", "a", kernel_shape=[2, 2]),
        node("Flatten", "a", "f"),
        node("Gemm", "f w b", "y", alpha=0.5, transB=1),
    ]
    integers = {"pads": np.array([0, 0, 1, 0, 0, 0, 0, 1]), "first": np.array([1]), "last": np.array([4])}
    limits = {"lo": np.float32(-1), "hi": np.float32(1), "scales": np.float32([1, 1, 2, 2])}
    weights = {"axes": np.array([2]), "w": normal(2, 10), "b": normal(2)}
    return make(nodes, ["batch", 1, 3, 3], {**limits, **integers, **weights})


def bytes_damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Up to three bytes replaced, of every third file the end cut off."""
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[random.integers(len(damaged), size=random.integers(1, 4))] = random.integers(256)
    return damaged.tobytes()[: None if random.integers(3) else random.integers(len(damaged))]


def fields_damaged(data: bytes, random: np.random.Generator) -> bytes:
    """One or two fields set to something that a file may say and no network means."""
    model = onnx.load_model_from_string(data)
    graph = model.graph

    def one_of(items):
        return items[int(random.integers(len(items)))]

    for _ in range(random.integers(1, 3)):
        damaged, tensor = one_of(graph.node), one_of(graph.initializer)
        kind = random.integers(7)
        if kind == 0 and damaged.attribute:
            attribute = one_of(damaged.attribute)
            if attribute.ints:
                attribute.ints[int(random.integers(len(attribute.ints)))] = one_of(WHOLE)
            attribute.i, attribute.f = one_of(WHOLE), one_of(REAL)
        elif kind == 1 and tensor.data_type in (TensorProto.FLOAT, TensorProto.INT64):
            with suppress(ValueError):  # damaged before
                array = np.array(numpy_helper.to_array(tensor))
                array.reshape(-1)[int(random.integers(array.size))] = one_of(REAL if array.dtype.kind == "f" else WHOLE)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        elif kind == 2:
            one_of(graph.input[0].type.tensor_type.shape.dim).dim_value = one_of(WHOLE)
        elif kind == 3:
            damaged.op_type = one_of(OPERATORS)
        elif kind == 4 and damaged.input:
            names = [*(name for each in graph.node for name in each.output), *(each.name for each in graph.initializer)]
            damaged.input[int(random.integers(len(damaged.input)))] = one_of(["x", *names])
        elif kind == 5 and damaged.input:
            del damaged.input[int(random.integers(len(damaged.input))) :]
        elif tensor.dims:
            tensor.dims[int(random.integers(len(tensor.dims)))] = one_of(WHOLE)
    return model.SerializeToString()


def asked(network: Network, random: np.random.Generator) -> tuple[Query, np.ndarray]:
    """Whether the first output can be lower than at one point by a little or a lot; and points [N, *v] to compare."""
    count, outputs = prod(network.graph.input_shape), network.graph.answers
    points = random.random((65, *network.graph.input_shape), np.float32)
    points[1::2] = points[1::2].round()
    (level, *_) = network.runtime.logits(points[:1])[0].astype(np.float64)
    depth = float(random.choice([0.1, 3.0])) * max(1.0, abs(level) if np.isfinite(level) else 1.0)
    row = Row(((0, Fraction(1)),), Fraction(depth - level if np.isfinite(level) else 0.0))
    ends = np.zeros(count), np.ones(count)
    return Query(count, outputs, (Clause(*ends, ends, (row,)),)), points


def end(path: Path, random: np.random.Generator) -> tuple[str, bool]:
    """How the file ended, and whether no point contradicts it."""
    try:
        network = load(path)
        if prod(network.graph.input_shape) > MOST_INPUTS or network.graph.ending in ("Softmax", "LogSoftmax"):
            return "left out", True  # more than this process has time for, or to be asked otherwise
        query, points = asked(network, random)
        answer = verify(network, query, timeout=1)
    except GlscertError as error:
        return type(error).__name__, len(str(error)) < 2000
    if answer.verdict is not Verdict.VERIFIED:
        return answer.verdict.word, True
    outputs = np.concatenate([network.runtime.logits(point[None]) for point in points]).astype(np.float64)
    (row,) = query.clauses[0].rows
    room = ROUNDING * max(1.0, float(np.abs(outputs).max()))
    return "unsat", bool((outputs[:, 0] + float(row.offset) > -room).all())


def main(kind: str, count: int, folder: Path) -> None:
    damage = {"bytes": bytes_damaged, "fields": fields_damaged}[kind]
    files = [build().SerializeToString() for build in (mlp, shaped, windowed)]
    path = folder / "damaged.onnx"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    ends, wrong = Counter[str](), []
    for seed in range(count):
        random = np.random.default_rng(seed)
        path.write_bytes(damage(files[seed % len(files)], random))
        found, right = end(path, random)
        ends[found] += 1
        if not right:
            wrong.append(seed)
    print(json.dumps({"ends": ends, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
