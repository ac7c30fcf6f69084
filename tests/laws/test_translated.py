"""Every ONNX operator that is read, in the forms that opsets 8 to 20 have for it: the canonical graph computes what
onnxruntime computes on the file, no point of a box beats a bound, and on a point box the bound is the value."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from glscert.verifier import load
from glscert.verifier.bounds import RELAXATIONS, Box, Spec
from glscert.verifier.graph.load import from_proto
from glscert.verifier.graph.shapes import NONLINEAR
from glscert.verifier.graph.translate import TRANSLATIONS
from glscert.verifier.ops import OPERATORS, Nonlinear, evaluate
from onnx_models import make, node, normal, run_file, run_loaded

IMAGE = ("b", 2, 6, 5)


def one(op: str, dims=IMAGE, opset: int = 13, inputs: str = "x", consts=None, **attrs) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        return make([node(op, inputs, "y", **attrs)], dims, consts or {}, opset)

    return build


def several(*nodes: onnx.NodeProto, dims=IMAGE, opset: int = 13, **consts) -> Callable[[], onnx.ModelProto]:
    return lambda: make(nodes, dims, consts, opset)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


KERNEL = normal(2, 2, 2, 3)
CASES: dict[str, Callable[[], onnx.ModelProto]] = {
    **{op: one(op) for op in ("Abs", "HardSwish", "Neg", "Relu", "Sigmoid", "Softplus", "Tanh")},
    **{op: one(op) for op in ("Elu", "Erf", "Selu", "Softsign")},
    "Elu that bends": one("Elu", alpha=0.3),
    "Selu that bends": one("Selu", alpha=2.0, gamma=0.7),
    "Celu": one("Celu", alpha=1.7),
    "Gelu": one("Gelu", opset=20),
    "Gelu by tanh": one("Gelu", opset=20, approximate="tanh"),
    "Mish": one("Mish", opset=18),
    "Swish": one("Swish", opset=24, alpha=0.7),
    "a cube": one("Pow", inputs="x c", consts={"c": np.float32(3)}),
    "HardSwish": one("HardSwish", opset=14),
    "HardSigmoid": one("HardSigmoid", alpha=1.5, beta=0.3),
    "LeakyRelu": one("LeakyRelu", alpha=0.1),
    "LeakyRelu that falls": one("LeakyRelu", alpha=-0.5),
    "PRelu by channel": one("PRelu", inputs="x s", consts={"s": normal(2, 1, 1)}),
    "PRelu": one("PRelu", inputs="x s", consts={"s": floats(0.3)}),
    "Clip by attributes": one("Clip", opset=8, min=-0.2, max=0.3),
    "Clip by inputs": one("Clip", inputs="x l h", consts={"l": np.float32(-0.1), "h": np.float32(0.4)}),
    "Clip below": one("Clip", inputs="x l", consts={"l": np.float32(-0.1)}),
    "Clip above": one("Clip", inputs="x - h", consts={"h": np.float32(0.2)}),
    "Min": one("Min", inputs="x c", consts={"c": normal(2, 1, 5)}),
    "Max": one("Max", inputs="c x d", consts={"c": normal(2, 1, 5), "d": floats(0.1)}),
    "Max of two": several(node("Gemm", "x w", "z"), node("Max", "x z", "y"), dims=("b", 4), w=normal(4, 4)),
    "Min of three": several(
        node("Gemm", "x w", "z"), node("Tanh", "z", "t"), node("Min", "x z t", "y"), dims=("b", 4), w=normal(4, 4)
    ),
    "two kinds on one value": several(node("Relu", "x", "r"), node("Sigmoid", "x", "s"), node("Sub", "r s", "y")),
    "Pow": one("Pow", inputs="x c", consts={"c": np.float32(2)}),
    "Mul with itself": one("Mul", inputs="x x"),
    "Mul of two": several(node("Gemm", "x w", "z"), node("Mul", "x z", "y"), dims=("b", 4), w=normal(4, 4)),
    "Add across": several(node("GlobalAveragePool", "x", "g"), node("Add", "x g", "y")),
    "Sub from a constant": one("Sub", inputs="c x", consts={"c": normal(2, 1, 1)}),
    "a constant that extends": one("Mul", inputs="x c", dims=(1, 4), consts={"c": normal(3, 4)}),
    "Conv of a row": one(
        "Conv", ("b", 2, 7), inputs="x k b", consts={"k": normal(3, 2, 3), "b": normal(3)}, pads=[1, 2]
    ),
    "Conv of a row, apart": one(
        "Conv", ("b", 4, 9), inputs="x k", consts={"k": normal(4, 2, 2)}, strides=[2], dilations=[3], group=2
    ),
    "ConvTranspose": one("ConvTranspose", inputs="x k", consts={"k": KERNEL}, strides=[2, 1], pads=[1, 0, 0, 1]),
    "ConvTranspose, apart": one(
        "ConvTranspose", inputs="x k b", consts={"k": normal(2, 3, 2, 2), "b": normal(6)}, group=2, strides=[2, 3],
        output_padding=[1, 2], dilations=[2, 1],
    ),
    "ConvTranspose of a row": one(
        "ConvTranspose", ("b", 2, 4), inputs="x k", consts={"k": normal(2, 3, 3)}, strides=[2]
    ),
    "ConvTranspose SAME_UPPER": one(
        "ConvTranspose", inputs="x k", consts={"k": normal(2, 3, 3, 2)}, strides=[2, 3], auto_pad="SAME_UPPER"
    ),
    "ConvTranspose SAME_LOWER": one(
        "ConvTranspose", inputs="x k", consts={"k": normal(2, 3, 4, 4)}, strides=[3, 1], auto_pad="SAME_LOWER"
    ),
    "ConvTranspose of a stated size": one(
        "ConvTranspose", inputs="x k b", consts={"k": normal(2, 3, 3, 3), "b": normal(3)}, strides=[3, 2],
        output_shape=[17, 8],
    ),
    "ConvTranspose of a stated size, a row": one(
        "ConvTranspose", ("b", 2, 4), inputs="x k", consts={"k": normal(2, 1, 3)}, strides=[2], dilations=[2],
        output_shape=[8],
    ),
    "AveragePool": one("AveragePool", kernel_shape=[2, 3], strides=[2, 1]),
    "AveragePool with a border": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 0], strides=[2, 2]),
    "AveragePool counting it": one(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], count_include_pad=1
    ),
    "AveragePool rounded up": one("AveragePool", opset=19, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "AveragePool of a row": one("AveragePool", ("b", 2, 7), kernel_shape=[3], strides=[2]),
    "AveragePool SAME": one("AveragePool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool of opset 8": one("MaxPool", opset=8, kernel_shape=[3, 2], strides=[1, 2]),
    "MaxPool with a border": one("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "MaxPool rounded up": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool dilated": one("MaxPool", kernel_shape=[2, 3], dilations=[2, 2]),
    "MaxPool dilated with a border": one(
        "MaxPool", kernel_shape=[2, 3], dilations=[3, 2], pads=[1, 2, 1, 1], strides=[1, 2]
    ),
    "MaxPool dilated, rounded up": one(
        "MaxPool", kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 1, 0, 1], strides=[2, 2], ceil_mode=1
    ),
    "MaxPool beside its places": several(node("MaxPool", "x", "y places", kernel_shape=[2, 2])),
    "MaxPool of a row": one("MaxPool", ("b", 2, 7), kernel_shape=[3], strides=[2]),
    "GlobalAveragePool": one("GlobalAveragePool"),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "ReduceSum by attribute": one("ReduceSum", opset=11, axes=[2], keepdims=0),
    "ReduceSum by input": one("ReduceSum", inputs="x a", consts={"a": ints(1, -1)}),
    "ReduceMean by attribute": one("ReduceMean", axes=[-1, 1]),
    "ReduceMean by input": one("ReduceMean", opset=18, inputs="x a", consts={"a": ints(2)}, keepdims=0),
    "ReduceMax": one("ReduceMax", axes=[3], keepdims=0),
    "ReduceMin": one("ReduceMin", axes=[2, -1], keepdims=0),
    "DepthToSpace": one("DepthToSpace", ("b", 8, 2, 3), blocksize=2),
    "SpaceToDepth": one("SpaceToDepth", ("b", 2, 4, 6), blocksize=2),
    "Tile": one("Tile", inputs="x n", dims=("b", 2, 3), consts={"n": ints(1, 3, 2)}),
    "Log of Sigmoid": several(node("Sigmoid", "x", "s"), node("Log", "s", "y")),
    "Einsum": one("Einsum", ("b", 6), inputs="x w", consts={"w": normal(4, 6)}, equation="bi,oi->bo"),
    "Transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "Slice by attributes": one("Slice", opset=9, starts=[1, 0], ends=[5, 9], axes=[2, 3]),
    "Slice by inputs": one(
        "Slice", inputs="x s e a t",
        consts={"s": ints(-1, 0), "e": ints(-100, 5), "a": ints(2, -1), "t": ints(-2, 2)},
    ),
    "Gather": one("Gather", inputs="x i", consts={"i": ints(-1, 0, 0)}, axis=2),
    "Gather of one": one("Gather", inputs="x i", consts={"i": np.array(1)}, axis=3),
    "Split by attribute": several(
        node("Split", "x", "a b", axis=2, split=[2, 4]), node("ReduceMean", "a", "m", axes=[2]),
        node("Add", "b m", "y"),
        opset=11,
    ),
    "Split by input": several(node("Split", "x s", "a b", axis=2), node("Sub", "b a", "y"), s=ints(3, 3)),
    "Split into equal parts": several(node("Split", "x", "a b", axis=1), node("Sub", "b a", "y")),
    "Concat": several(node("Relu", "x", "r"), node("Concat", "x r", "y", axis=1)),
    "Concat with a constant": one("Concat", inputs="c x", dims=(1, 2, 3), consts={"c": normal(1, 2, 2)}, axis=-1),
    "Concat along a batch of one": several(node("Relu", "x", "r"), node("Concat", "r x", "y", axis=0), dims=(1, 4)),
    "Expand": one("Expand", ("b", 2, 1), inputs="x s", consts={"s": ints(1, 2, 3)}),
    "Pad by attribute": one("Pad", opset=10, pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5),
    "Pad by inputs": one("Pad", inputs="x p", consts={"p": ints(0, 1, -1, 0, 0, 0, 2, -2)}),
    "Pad by a constant": one("Pad", inputs="x p c", consts={"p": ints(0, 0, 1, 1, 0, 0, 1, 0), "c": np.float32(-0.7)}),
    "Pad by reflection": one("Pad", inputs="x p", consts={"p": ints(0, 0, 2, 1, 0, 0, 3, 0)}, mode="reflect"),
    "Pad by wrapping, cut": one(
        "Pad", opset=19, inputs="x p", consts={"p": ints(0, 0, -2, 7, 0, 0, 3, -1)}, mode="wrap"
    ),
    "Pad by reflection, cut": one("Pad", inputs="x p", consts={"p": ints(0, 0, 2, -2, 0, 0, -3, 2)}, mode="reflect"),
    "Pad by the edge": one("Pad", inputs="x p", consts={"p": ints(0, 0, 2, 1, 0, 0, 3, 0)}, mode="edge"),
    "Upsample": one("Upsample", opset=9, inputs="x s", consts={"s": floats(1, 1, 2, 3)}),
    "Upsample by attribute": one("Upsample", opset=8, scales=[1.0, 1.0, 2.0, 2.0]),
    "Resize of opset 10": one("Resize", opset=10, inputs="x s", consts={"s": floats(1, 1, 2, 0.6)}),
    "Resize": one(
        "Resize", inputs="x - s", consts={"s": floats(1, 1, 2, 2)}, nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    "Resize to a size": one("Resize", inputs="x - - s", consts={"s": ints(1, 2, 9, 4)}),
    "MatMul of rows": one("MatMul", inputs="x w", consts={"w": normal(5, 3)}),
    "MatMul of columns": one("MatMul", inputs="w x", consts={"w": normal(3, 6)}),
    "Gemm of rows": several(
        node("Reshape", "x s", "r"), node("Gemm", "r w b", "y"), dims=(1, 12), s=ints(3, 4), w=normal(4, 2), b=normal(2)
    ),
    "Where": several(node("Relu", "x", "r"), node("Where", "m x r", "y"), m=np.arange(10).reshape(2, 1, 5) % 3 == 0),
    "Where of a constant": one("Where", inputs="m c x", consts={"m": normal(6, 1) > 0, "c": normal(2, 1, 5)}),
    "choices between constants": several(
        node("Greater", "a zero", "g"), node("Less", "a one", "l"), node("And", "g l", "m"), node("Not", "m", "n"),
        node("Where", "n a zero", "w"), node("Add", "x w", "y"), a=normal(6, 5), zero=floats(0), one=floats(1),
    ),
    "float16 weights": several(
        node("Cast", "w", "v", to=1), node("MatMul", "x v", "y"), w=normal(5, 3).astype(np.float16)
    ),
    "a quantised weight": several(
        node("DequantizeLinear", "w s z", "v"), node("MatMul", "x v", "y"),
        w=np.arange(15, dtype=np.uint8).reshape(5, 3), s=np.float32(0.013), z=np.array(7, np.uint8),
    ),
    "a quantised weight, by channel": several(
        node("DequantizeLinear", "w s z", "v", axis=-1), node("Conv", "x v", "y"),
        w=np.arange(-24, 24, dtype=np.int8).reshape(2, 2, 4, 3), s=floats(0.01, 0.02, 0.03),
        z=np.array([0, -3, 4], np.int8),
    ),
    "Cast to its own type": one("Cast", to=onnx.TensorProto.FLOAT),
    "Squeeze by attribute": one("Squeeze", ("b", 1, 4), opset=11, axes=[1]),
    "Squeeze by input": one("Squeeze", ("b", 1, 4), inputs="x a", consts={"a": ints(1)}),
    "Unsqueeze by attribute": one("Unsqueeze", ("b", 4), opset=11, axes=[1]),
    "Dropout of opset 8": one("Dropout", opset=8, ratio=0.5),
    "Dropout": one("Dropout", inputs="x r", consts={"r": np.float32(0.5)}),
    "BatchNormalization": one(
        "BatchNormalization", opset=9, inputs="x s t m v",
        consts={"s": normal(2), "t": normal(2) + 1, "m": normal(2) - 1, "v": normal(2) ** 2 + 0.1},
    ),
    "shapes computed on the way": several(
        node("Shape", "x", "d"), node("Gather", "d i", "n"), node("Unsqueeze", "n z", "u"),
        node("Concat", "u m", "s", axis=0), node("Reshape", "x s", "y"), i=np.array(0), z=ints(0), m=ints(-1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_forward_and_bounds(name: str, tmp_path: Path) -> None:
    proto = CASES[name]()
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    load(tmp_path / "net.onnx")  # compared with onnxruntime by its own rule
    model = from_proto(proto)
    graph = model.graph
    exact = {key: torch.from_numpy(array).double() for key, array in model.params.items()}
    rng = np.random.default_rng(5)
    centre = rng.uniform(-1, 1, (1, *graph.input_shape)).astype(np.float32)
    points = torch.from_numpy(centre + rng.uniform(-0.3, 0.3, (16, *graph.input_shape)).astype(np.float32))
    found = evaluate(graph, exact, points.double())
    expected = run_file(proto, points.numpy())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-6)

    middle = torch.from_numpy(centre).double()
    rows = torch.from_numpy(rng.normal(size=(1, 4, *graph.output_shape)))
    spec = Spec(rows, rows.new_zeros(1, 4))
    values = torch.einsum("bmk,sk->sm", rows, evaluate(graph, exact, points.double()))
    at = torch.einsum("bmk,bk->bm", rows, evaluate(graph, exact, middle))
    for relaxation, bounds in RELAXATIONS.items():
        lower = bounds(graph, exact, Box(middle - 0.3, middle + 0.3), spec).lower
        assert (values >= lower - 1e-6).all(), f"a point falls below the bound of {relaxation}"
        lower = bounds(graph, exact, Box(middle, middle), spec).lower
        assert torch.allclose(lower, at, rtol=0, atol=1e-9), f"{relaxation} is not exact on a point"


@pytest.mark.parametrize("opset", range(8, 21))
def test_every_opset(opset: int) -> None:
    """What has one form throughout is read from each."""
    nodes = [
        node("Conv", "x k", "c", pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Sigmoid", "p", "s"),
        node("Transpose", "s", "t", perm=[0, 2, 3, 1]),
        node("Concat", "t t", "j", axis=1),
        node("GlobalAveragePool", "j", "g"),
        node("Flatten", "g", "y"),
    ]
    proto = make(nodes, IMAGE, {"k": normal(3, 2, 3, 3)}, opset)
    model = from_proto(proto)
    x = np.random.default_rng(opset).uniform(-1, 1, (3, *model.graph.input_shape)).astype(np.float32)
    np.testing.assert_allclose(run_loaded(model, x), run_file(proto, x), rtol=1e-5, atol=1e-6)


def names(proto: onnx.ModelProto) -> set[str]:
    nodes = [text for each in proto.graph.node for text in (each.name, *each.input, *each.output)]
    return {*nodes, *(tensor.name for tensor in proto.graph.initializer), "x", "y"}


def made(proto: onnx.ModelProto) -> list[str]:
    """The names of parts that are none of the file's."""
    model = from_proto(proto)
    parts = [text for each in model.graph.nodes for text in (each.name, each.output)]
    return sorted({*parts, *model.graph.shapes, *model.params} - names(proto))


@pytest.mark.parametrize("turn", (0, 1))
@pytest.mark.parametrize("name", CASES)
def test_a_file_may_have_the_names_that_reading_it_would_make(name: str, turn: int) -> None:
    """Before the network stand additions whose values and constants are named like the parts made of the network."""
    proto = CASES[name]()
    taken = [*dict.fromkeys([*made(proto), "output", "x.add"])][turn:]
    last, first = "x", []
    for constant, output in zip(taken[::2], taken[1::2], strict=False):
        first.append(node("Add", "", output))
        first[-1].input.extend([last, constant])
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(len(first) / 32), constant))
        last = output
    for each in proto.graph.node:
        each.input[:] = [last if text == "x" else text for text in each.input]
    first += proto.graph.node
    del proto.graph.node[:]
    proto.graph.node.extend(first)
    model = from_proto(proto)
    assert not set(made(proto)) & names(proto)
    x = np.random.default_rng(7).uniform(-1, 1, (2, *model.graph.input_shape)).astype(np.float32)
    np.testing.assert_allclose(run_loaded(model, x), run_file(proto, x), rtol=1e-5, atol=5e-6)


def test_the_graph_knows_which_operators_are_nonlinear() -> None:
    assert set(NONLINEAR) == {name for name, operator in OPERATORS.items() if isinstance(operator, Nonlinear)}


def test_every_operator_read_is_here() -> None:
    used = {proto.op_type for build in CASES.values() for proto in build().graph.node}
    elsewhere = {"Div", "Flatten", "Identity", "Add"}
    assert used >= set(TRANSLATIONS) - elsewhere
