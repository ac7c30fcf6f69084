"""The loaded graph computes what onnxruntime computes on the file, for every quirk met in the wild."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from glscert.verifier import load
from glscert.verifier.graph import load_model
from glscert.verifier.graph.load import from_proto
from onnx_models import agree, make, mlp, mlp_consts, mlp_nodes, node, normal

CONV = {"k": normal(4, 2, 3, 3), "kb": normal(4)}
HEAD = {"w": normal(36, 3), "b": normal(3)}


def conv_net(*middle: onnx.NodeProto, dims=("batch", 2, 5, 5), consts=None, opset=13, **conv) -> onnx.ModelProto:
    """Conv, Relu, then `middle` from "r" to "f", then Gemm."""
    nodes = [node("Conv", "x k kb", "c", **conv), node("Relu", "c", "r"), *middle, node("Gemm", "f w b", "y")]
    return make(nodes, dims, {**CONV, **HEAD, **(consts or {})}, opset)


def padded(**conv) -> onnx.ModelProto:
    """One Conv with the given attributes from [2,8,7] to its flattened output."""
    group = conv.get("group", 1)
    kernel = normal(4, 2 // group, *conv.pop("kernel", (3, 2)))
    return make([node("Conv", "x k", "c", **conv), node("Flatten", "c", "y")], ["batch", 2, 8, 7], {"k": kernel}, 11)


def elementwise(*nodes: onnx.NodeProto, dims=("batch", 3, 4, 4), **consts: np.ndarray) -> onnx.ModelProto:
    return make([*nodes, node("Flatten", "z", "y")], dims, consts)


def listed_initialisers() -> onnx.ModelProto:
    return mlp(ir_version=3, opset=8, listed=True)


def domain_twice() -> onnx.ModelProto:
    proto = mlp()
    proto.opset_import.add(domain="", version=13)
    proto.opset_import.add(domain="ai.onnx.ml", version=2)
    return proto


def reshape_by_shape_arithmetic() -> onnx.ModelProto:
    return conv_net(
        node("Shape", "r", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n first", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "r target", "f"),
        consts={"zero": np.int64(0), "first": np.array([0]), "rest": np.array([-1])},
    )


def reshape_by_sliced_shape() -> onnx.ModelProto:
    return conv_net(
        node("Constant", "", "start", value_ints=[0]),
        node("Constant", "", "end", value_ints=[1]),
        node("Shape", "r", "s"),
        node("Slice", "s start end", "n"),
        node("Cast", "n", "n64", to=onnx.TensorProto.INT64),
        node("Concat", "n64 rest", "target", axis=0),
        node("Reshape", "r target", "f"),
        consts={"rest": np.array([36])},
    )


def batch_norm(epsilon: float = 1e-3) -> onnx.ModelProto:
    nodes = [
        node("Conv", "x k", "c"),
        node("BatchNormalization", "c s t m v", "n", epsilon=epsilon),
        node("Relu", "n", "r"),
        node("Flatten", "r", "f"),
        node("Gemm", "f w b", "g"),
        node("BatchNormalization", "g s3 t3 m3 v3", "y"),
    ]
    consts = {name: normal(4) for name in "stm"} | {"v": normal(4) ** 2 + 0.1}
    last = {f"{name}3": normal(3) for name in "stm"} | {"v3": normal(3) ** 2 + 0.1}
    return make(nodes, ["batch", 2, 5, 5], {**CONV, **HEAD, **consts, **last}, 9)


def residual(op: str) -> onnx.ModelProto:
    nodes = [
        node("Gemm", "x w1 b1", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r w2", "g"),
        node(op, "g r", "y"),
    ]
    return make(nodes, ["batch", 6], {"w1": normal(6, 5), "b1": normal(5), "w2": normal(5, 5)})


def tied_weights() -> onnx.ModelProto:
    nodes = [node("Identity", "w1", "again"), node("Gemm", "x w1", "h"), node("Gemm", "h again", "y", transB=1)]
    return make(nodes, ["batch", 6], {"w1": normal(6, 6)})


QUIRKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "batch symbolic": lambda: mlp(("batch", 6)),
    "batch unnamed": lambda: mlp((None, 6)),
    "batch fixed to 1": lambda: mlp((1, 6)),
    "initialisers among the inputs": listed_initialisers,
    "a domain imported twice": domain_twice,
    "float64": lambda: make(
        mlp_nodes(), ["batch", 6], {k: v.astype(np.float64) for k, v in mlp_consts().items()}, dtype=np.float64
    ),
    "rank 1": lambda: make(
        [node("MatMul", "x w", "h"), node("Add", "h b", "y")], [6], {"w": normal(6, 3), "b": normal(3)}
    ),
    "a single number": lambda: make(
        [node("MatMul", "x w", "h"), node("Relu", "h", "y")], [1], {"w": normal(1, 1)}
    ),
    "rank 3 without batch": lambda: make(
        [node("Sub", "x m", "d"), node("Unsqueeze", "d at", "u"), node("Conv", "u k", "c"), node("Flatten", "c", "y")],
        [2, 5, 5],
        {"m": normal(2, 1, 1), "at": np.array([0]), "k": CONV["k"]},
    ),
    "one channel without batch": lambda: make(
        [node("Reshape", "x to", "u"), node("Conv", "u k", "c"), node("Flatten", "c", "y")],
        [1, 5, 5],
        {"to": np.array([1, 1, 5, 5]), "k": normal(4, 1, 3, 3)},
    ),
    "batch put in front by a constant": lambda: make(
        [node("Sub", "x m", "d"), node("Conv", "d k", "c"), node("Flatten", "c", "y")],
        [2, 5, 5],
        {"m": normal(1, 2, 1, 1), "k": CONV["k"]},
    ),
    "a column of pixels": lambda: make(
        [node("Flatten", "x", "f", axis=1), node("Gemm", "f w", "y")], [1, 6, 1], {"w": normal(6, 3)}
    ),
    "a row of pixels": lambda: make(
        [node("Sub", "x m", "d"), node("Flatten", "d", "f"), node("MatMul", "f w", "h"), node("Add", "h b", "y")],
        [1, 1, 1, 6],
        {"m": normal(6), "w": normal(6, 3), "b": normal(3)},
        8,
    ),
    "reshape hard-codes batch 1": lambda: conv_net(node("Reshape", "r to", "f"), consts={"to": np.array([1, 36])}),
    "reshape -1 first": lambda: conv_net(node("Reshape", "r to", "f"), consts={"to": np.array([-1, 36])}),
    "reshape 0 first": lambda: conv_net(node("Reshape", "r to", "f"), consts={"to": np.array([0, -1])}),
    "reshape by shape arithmetic": reshape_by_shape_arithmetic,
    "reshape by a sliced shape": reshape_by_sliced_shape,
    "reshape twice": lambda: conv_net(
        node("Reshape", "r a", "q"),
        node("Reshape", "q b2", "f"),
        consts={"a": np.array([0, 2, -1]), "b2": np.array([0, -1])},
    ),
    "reshape into an image": lambda: make(
        [node("Gemm", "x w", "g"), node("Reshape", "g to", "i"), node("Conv", "i k", "c"), node("Flatten", "c", "y")],
        [1, 6],
        {"w": normal(6, 50), "to": np.array([-1, 2, 5, 5]), "k": CONV["k"]},
    ),
    "flatten with a negative axis": lambda: conv_net(node("Flatten", "r", "f", axis=-3)),
    "flatten at the front, batch 1": lambda: conv_net(node("Flatten", "r", "f", axis=0), dims=(1, 2, 5, 5)),
    "squeeze and unsqueeze, attributes": lambda: conv_net(
        node("Flatten", "r", "q"), node("Unsqueeze", "q", "u", axes=[2]), node("Squeeze", "u", "f", axes=[2]), opset=11
    ),
    "squeeze and unsqueeze, inputs": lambda: conv_net(
        node("Flatten", "r", "q"),
        node("Unsqueeze", "q at", "u"),
        node("Squeeze", "u at", "f"),
        consts={"at": np.array([-1])},
    ),
    "squeeze without axes": lambda: conv_net(node("Flatten", "r", "q"), node("Squeeze", "q", "f"), consts={}),
    "matmul and add": lambda: make(
        [node("MatMul", "x w1", "h"), node("Add", "b1 h", "a"), node("Relu", "a", "r"), node("MatMul", "r w2", "y")],
        ["batch", 6],
        {"w1": normal(6, 5), "b1": normal(5), "w2": normal(5, 3)},
    ),
    "matmul and add of one number": lambda: make(
        [node("MatMul", "x w", "h"), node("Add", "h b", "y")], ["batch", 6], {"w": normal(6, 5), "b": np.float32(0.5)}
    ),
    "matmul read twice": lambda: make(
        [node("MatMul", "x w", "h"), node("Add", "h b", "a"), node("Relu", "h", "r"), node("Add", "a r", "y")],
        ["batch", 6],
        {"w": normal(6, 5), "b": normal(5)},
    ),
    "a matrix times a column": lambda: make(
        [node("MatMul", "w x", "h"), node("Add", "h b", "a"), node("Relu", "a", "y")],
        [1, 6, 1],
        {"w": normal(4, 6), "b": normal(4, 1)},
    ),
    "a matrix times a vector": lambda: make([node("MatMul", "w x", "y")], [6], {"w": normal(4, 6)}),
    "gemm with alpha and beta": lambda: make(
        [node("Gemm", "x w b", "y", alpha=0.5, beta=-2.0, transB=1)], ["b", 6], {"w": normal(3, 6), "b": normal(1, 3)}
    ),
    "gemm with transA": lambda: make(
        [node("Unsqueeze", "x at", "u"), node("Gemm", "u w", "y", transA=1)],
        [6],
        {"at": np.array([1]), "w": normal(6, 3)},
    ),
    "gemm with one bias for all": lambda: make(
        [node("Gemm", "x w b", "y")], ["batch", 6], {"w": normal(6, 3), "b": normal(1)}
    ),
    "gemm without bias, dummy operand": lambda: make(
        [node("Gemm", "x w -", "y")], ["batch", 6], {"w": normal(6, 3)}
    ),
    "affine layers in a row": lambda: make(
        [node("Gemm", "x w1", "a"), node("Mul", "a c", "m"), node("Gemm", "m w2 b", "g"), node("Sub", "g d", "y")],
        ["batch", 6],
        {"w1": normal(6, 5), "c": normal(1, 5), "w2": normal(5, 3), "b": normal(3), "d": normal(3)},
    ),
    "tied weights": tied_weights,
    "transposed weights": lambda: make(
        [node("Transpose", "w", "wt", perm=[1, 0]), node("MatMul", "x wt", "y")], ["batch", 6], {"w": normal(3, 6)}
    ),
    "residual Add": lambda: residual("Add"),
    "residual Sub": lambda: residual("Sub"),
    "a value plus itself": lambda: make(
        [node("Gemm", "x w", "g"), node("Add", "g g", "y")], ["batch", 6], {"w": normal(6, 3)}
    ),
    "normalisation per channel": lambda: elementwise(
        node("Sub", "x m", "s"), node("Div", "s d", "z"), m=normal(1, 3, 1, 1), d=normal(1, 3, 1, 1)
    ),
    "constants of lower rank": lambda: elementwise(
        node("Mul", "c x", "s"), node("Add", "s d", "t"), node("Sub", "t e", "z"),
        c=np.float32(3), d=normal(4), e=normal(3, 4, 4),
    ),
    "constant minus value": lambda: elementwise(node("Sub", "c x", "z"), c=normal(3, 1, 1)),
    "constant minus value twice": lambda: elementwise(
        node("Sub", "c x", "a"), node("Sub", "c a", "b"), node("Sub", "b a", "z"), c=normal(3, 1, 1)
    ),
    "constants computed from constants": lambda: elementwise(
        node("Add", "a b", "ab"), node("Unsqueeze", "ab at", "c"), node("Div", "c d", "e"), node("Mul", "x e", "z"),
        a=normal(3, 1), b=normal(1), at=np.array([-1]), d=np.float32(3),
    ),
    "batch normalisation": batch_norm,
    "dropout and identity": lambda: make(
        [
            node("Identity", "x", "i"),
            node("Dropout", "i", "d", ratio=0.5),
            node("Gemm", "d w b", "g"),
            node("Identity", "g", "y"),
        ],
        ["batch", 6],
        {"w": normal(6, 3), "b": normal(3)},
        8,
    ),
    "dropout of opset 13": lambda: make(
        [node("Dropout", "x ratio no", "d mask"), node("Gemm", "d w", "y")],
        ["batch", 6],
        {"ratio": np.float32(0.5), "no": np.array(False), "w": normal(6, 3)},
    ),
    "constant nodes": lambda: make(
        [
            node("Constant", "", "c", value_float=0.25),
            node("Constant", "", "e", value=onnx.numpy_helper.from_array(normal(6))),
            node("Sub", "x c", "s"),
            node("Mul", "s e", "y"),
        ],
        ["batch", 6],
        {},
    ),
    "image at the output": lambda: make([node("Conv", "x k kb", "y")], ["batch", 2, 5, 5], CONV),
    "a dead branch of an unknown operator": lambda: make(
        [*mlp_nodes(), node("Softmax", "y", "p")], ["batch", 6], mlp_consts()
    ),
    "conv, strides": lambda: padded(strides=[2, 3]),
    "conv, uneven pads": lambda: padded(pads=[0, 1, 2, 0], strides=[2, 2]),
    "conv, dilation": lambda: padded(dilations=[2, 3], pads=[1, 1, 1, 1]),
    "conv, groups": lambda: padded(group=2),
    "conv, auto_pad VALID": lambda: padded(auto_pad="VALID", strides=[2, 2]),
    "conv, auto_pad SAME_UPPER": lambda: padded(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv, auto_pad SAME_LOWER": lambda: padded(auto_pad="SAME_LOWER", strides=[1, 1]),
    "conv, auto_pad SAME_UPPER, even kernel": lambda: padded(auto_pad="SAME_UPPER", strides=[3, 2], kernel=(4, 2)),
    "conv, auto_pad NOTSET": lambda: padded(auto_pad="NOTSET", pads=[1, 0, 1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_quirk_is_read_as_onnxruntime_reads_it(quirk: str, tmp_path: Path) -> None:
    agree(QUIRKS[quirk]())
    (tmp_path / "net.onnx").write_bytes(QUIRKS[quirk]().SerializeToString())
    assert load(tmp_path / "net.onnx").graph.reading is not None  # and no comparison at loading finds fault with it


@pytest.mark.parametrize("opset", range(8, 21))
def test_opsets(opset: int) -> None:
    agree(mlp(opset=opset))
    agree(conv_net(node("Flatten", "r", "f"), opset=opset))


def test_canonical_form_of_a_normalised_conv_net() -> None:
    consts = {"m": normal(1, 2, 1, 1), "s": normal(1, 2, 1, 1), **CONV, "w": normal(36, 3), "b": normal(3)}
    nodes = [
        node("Sub", "x m", "d"),
        node("Div", "d s", "n"),
        node("Conv", "n k kb", "c"),
        node("Relu", "c", "r"),
        node("Flatten", "r", "f"),
        node("MatMul", "f w", "g"),
        node("Add", "g b", "y"),
    ]
    model = from_proto(make(nodes, ["batch", 2, 5, 5], consts))
    assert [n.op for n in model.graph.nodes] == ["Sub", "Div", "Conv", "Relu", "Flatten", "Gemm"]
    assert [len(n.params) for n in model.graph.nodes] == [1, 1, 2, 0, 0, 2]
    assert model.graph.input_shape == (2, 5, 5)
    assert model.params["m"].shape == (2, 1, 1)
    assert model.graph.nodes[2].attrs == {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    gemm = model.graph.nodes[-1]
    np.testing.assert_array_equal(model.params[gemm.params[0]], consts["w"].T)


def test_one_channel_without_batch_keeps_its_channel() -> None:
    assert from_proto(QUIRKS["one channel without batch"]()).graph.input_shape == (1, 5, 5)


def test_metadata_loses_its_prefix_and_strangers() -> None:
    proto = mlp()
    for key, value in {"org.glscli.dataset": "digits", "org.glscli.eps": "0.1", "author": "someone"}.items():
        proto.metadata_props.add(key=key, value=value)
    assert from_proto(proto).metadata == {"dataset": "digits", "eps": "0.1"}


def test_plain_and_packed_files(tmp_path: Path) -> None:
    data = mlp().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data)
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress(data))
    plain, packed = load_model(tmp_path / "net.onnx"), load_model(str(tmp_path / "net.onnx.gz"))
    assert plain.graph == packed.graph
    assert all(np.array_equal(plain.params[name], packed.params[name]) for name in plain.params)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in plain.params.values())


NETS = (
    "abcrown_mnist_6x100_nat",
    "lirpa_mnist_a_adv",
    "lirpa_mnist_kw",
    "mnbab_cifar10_CNN_A_mix",
    "mnbab_cifar10_convSmall_pgdk",
    "mnbab_mnist_2x50_relu",
    "mnbab_mnist_convSmall_point",
    "mnbab_mnist_convTiny",
)


@pytest.mark.parametrize("name", NETS)
def test_trained_networks(shared: Path, name: str) -> None:
    path = shared / "benchmarks" / "nets" / f"{name}.onnx.gz"
    agree(onnx.load_model_from_string(gzip.decompress(path.read_bytes())), count=8)


WILD = (
    "2021/cifar10_resnet/onnx/resnet_2b",
    "2021/mnistfc/onnx/mnist-net_256x2",
    "2021/oval21/onnx/cifar_base_kw",
    "2022/acasxu/onnx/ACASXU_run2a_1_1_batch_2000",
    "2022/cifar_biasfield/onnx/cifar_bias_field_1",
    "2022/nn4sys/onnx/lindex",
    "2022/rl_benchmarks/onnx/cartpole",
    "2022/sri_resnet_a/onnx/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1",
    "2022/test/onnx/test_nano",
    "2024/safenlp/onnx/medical/perturbations_0",
)


@pytest.mark.parametrize("name", WILD)
def test_competition_networks(shared: Path, name: str) -> None:
    path = shared / "benchmarks" / "vnncomp" / f"{name}.onnx.gz"
    agree(onnx.load_model_from_string(gzip.decompress(path.read_bytes())), count=2)
