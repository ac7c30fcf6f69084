"""Hand-made ONNX files with the quirks met in the wild, and two ways to run one: as it is, and as loaded."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from glscert.export.onnx import onnx_model
from glscert.verifier.engine.engine import Engine
from glscert.verifier.graph import Model
from glscert.verifier.graph.load import from_proto
from glscert.verifier.ops import evaluate

RNG_SEED = 7


def make(
    nodes: Sequence[onnx.NodeProto],
    dims: Sequence[int | str],
    consts: dict[str, np.ndarray],
    opset: int = 13,
    dtype: type = np.float32,
    ir_version: int = 8,
    listed: bool = False,
    answer: type | None = None,
) -> onnx.ModelProto:
    """The model from "x" of shape `dims` to "y"; `listed` repeats the initialisers among the inputs; `answer`: the
    output's type where it is not that of the input.
    """
    elem = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("x", elem, dims)]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in consts.items()]
    if listed:
        inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in weights]
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(answer or dtype)), None)
    graph = helper.make_graph(list(nodes), "test", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def node(op: str, inputs: str, output: str, **attrs: object) -> onnx.NodeProto:
    """A node from names separated by blanks; `-` is an operand left out."""
    return helper.make_node(op, [n if n != "-" else "" for n in inputs.split()], output.split(), **attrs)


def normal(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """Fixed by the shape alone."""
    return np.random.default_rng([RNG_SEED, *shape]).normal(size=shape).astype(dtype)


def images(model: Model, count: int, seed: int = 0) -> np.ndarray:
    """[count, *v] float32 in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *model.graph.input_shape)).astype(np.float32)


def run_file(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """onnxruntime's outputs [B, K] for images [B, *v], one image at a time, in the shape the file declares."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (declared,) = (i for i in session.get_inputs() if i.name in ("x", "input", proto.graph.input[0].name))
    shape = [n if isinstance(n, int) else 1 for n in declared.shape]
    x = x.astype(np.float64 if "double" in declared.type else np.float32)
    return np.stack([session.run(None, {declared.name: image.reshape(shape)})[0].ravel() for image in x])


def run_loaded(model: Model, x: np.ndarray) -> np.ndarray:
    """The loaded network's outputs [B, K] in float64, all images at once."""
    return Engine(model.graph, model.params).evaluate(x.reshape(len(x), -1))


def agree(proto: onnx.ModelProto, count: int = 4) -> None:
    """File, loaded graph (by the engine, and in torch) and exported graph give the same outputs; a law, used for every
    file below."""
    model = from_proto(proto)
    x = images(model, count)
    wanted = run_file(proto, x)
    assert model.graph.output_shape == wanted.shape[1:]
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(run_loaded(model, x), wanted, rtol=0, atol=1e-5 * scale)
    params = {name: torch.from_numpy(array).double() for name, array in model.params.items()}
    in_torch = evaluate(model.graph, params, torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(in_torch, wanted, rtol=0, atol=1e-5 * scale)
    dtype = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}[
        proto.graph.input[0].type.tensor_type.elem_type
    ]
    exported = model._replace(params={name: array.astype(dtype) for name, array in model.params.items()})
    np.testing.assert_allclose(run_file(onnx_model(*exported), x), wanted, rtol=0, atol=1e-5 * scale)


def relu_layers(rng: np.random.Generator, *sizes: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Nodes and weights of products with a ReLU between them, and a bias but for the last."""
    consts, nodes, value = dict[str, np.ndarray](), [], "x"
    last = len(sizes) - 1
    for place, shape in enumerate(zip(sizes, sizes[1:], strict=False), 1):
        consts[f"W{place}"] = rng.normal(size=shape).astype(np.float32)
        if place == last:
            return [*nodes, node("MatMul", f"{value} W{place}", "y")], consts
        consts[f"b{place}"] = rng.normal(size=shape[1:]).astype(np.float32)
        nodes += [node("Gemm", f"{value} W{place} b{place}", f"z{place}"), node("Relu", f"z{place}", f"r{place}")]
        value = f"r{place}"
    raise ValueError("a network has two sizes at least")


def difference(threshold: float = 0.25, dims: Sequence[int | str] = ("batch", 2)) -> onnx.ModelProto:
    """Class 0 scores `threshold`, class 1 |x0 - x1|: around (c, c) true up to eps = threshold / 2."""
    consts = {
        "w1": np.array([[1, -1], [-1, 1]], np.float32),  # symmetric: either orientation is the same matrix
        "w2": np.array([[0, 1], [0, 1]], np.float32),
        "b2": np.array([threshold, 0], np.float32),
    }
    nodes = [node("MatMul", "x w1", "h"), node("Relu", "h", "r"), node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    return make(nodes, dims, consts)


def undecided() -> onnx.ModelProto:
    """Class 0 scores |x0 - 1/2 - 2^-30|, class 1 nothing: they tie between two numbers of float32."""
    consts = {"w": np.float32([[1, -1], [0, 0]]), "half": np.float32([-0.5, 0.5]), "bit": np.float32([-1, 1]) / 2**30}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m half", "a"), node("Add", "a bit", "b"), node("Relu", "b", "r")]
    nodes.append(node("MatMul", "r v", "y"))
    return make(nodes, ("batch", 2), consts | {"v": np.float32([[1, 0], [1, 0]])})


def mlp_nodes() -> list[onnx.NodeProto]:
    return [
        node("Gemm", "x w1 b1", "h", transB=1),
        node("Relu", "h", "r"),
        node("Gemm", "r w2 b2", "y"),
    ]


def mlp_consts() -> dict[str, np.ndarray]:
    return {"w1": normal(5, 6), "b1": normal(5), "w2": normal(5, 3), "b2": normal(3)}


def mlp(dims: Sequence[int | str] = ("batch", 6), **options: object) -> onnx.ModelProto:
    """6 -> 5 -> 3, one Gemm of each orientation."""
    return make(mlp_nodes(), dims, mlp_consts(), **options)  # type: ignore[arg-type]


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = mlp()
    change(proto)
    return proto


def weight(proto: onnx.ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def one(op: str, inputs: str = "x", dims=("batch", 6), opset: int = 13, axis: int | None = None, **consts: np.ndarray):
    return make([node(op, inputs, "y", **({} if axis is None else {"axis": axis}))], dims, consts, opset)
