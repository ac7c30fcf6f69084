"""Canonical graph -> ONNX, node by node: plain operators, fixed names, the same bytes every time.

Written from the graph itself rather than through torch.onnx, whose nodes carry stack traces with local paths.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from glscert.verifier.errors import InputError
from glscert.verifier.graph import METADATA_KEYS, METADATA_PREFIX, Graph, Node

OPSET = 17
IR_VERSION = 8
_PRODUCER = "glscert"
_WEIGHTS = ("weight", "bias")
_PARAM_ROLES = {"Conv": _WEIGHTS, "ConvTranspose": _WEIGHTS, "Gemm": _WEIGHTS, "MatMul": ("transposed",)}
_ONNX = {"GeluTanh": "Gelu", "Silu": "Mul", "Square": "Mul"}  # of the value with its Sigmoid, or with itself
_NEWER = ("Gelu", "GeluTanh", "Mish")  # operators of opset 20, or of 18


def onnx_model(graph: Graph, params: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The network as ONNX: input "input" [batch, *v], output "logits" [batch, K], batch free.

    Of `metadata` (keys without prefix) the keys in `METADATA_KEYS` are written, sorted, and no others.
    Raises `InputError` where the weights are not all float32 or all float64.
    """
    writer = _Writer(graph, params)
    for node in graph.nodes:
        writer.add(node)
    proto = helper.make_graph(
        writer.nodes,
        "network",
        [helper.make_tensor_value_info("input", writer.elem_type, ["batch", *graph.input_shape])],
        [helper.make_tensor_value_info("logits", writer.elem_type, ["batch", *graph.output_shape])],
        writer.initializers,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", 20 if any(node.op in _NEWER for node in graph.nodes) else OPSET)],
        ir_version=IR_VERSION,
        producer_name=_PRODUCER,
        producer_version=version(_PRODUCER),
    )
    for key in sorted(METADATA_KEYS):
        if key in metadata:
            model.metadata_props.add(key=METADATA_PREFIX + key, value=metadata[key])
    return model


def onnx_bytes(graph: Graph, params: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """`onnx_model`, serialised; equal arguments give equal bytes."""
    return onnx_model(graph, params, metadata).SerializeToString(deterministic=True)


class _Writer:
    """Collects nodes and initialisers; names count operators, so that none comes from the machine that trained."""

    def __init__(self, graph: Graph, params: Mapping[str, np.ndarray]) -> None:
        self.graph = graph
        self.params = params
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.elem_type = _elem_type(graph, params)
        self._values = {graph.input: "input"}
        self._written: dict[tuple[str, bool, tuple[int, ...]], str] = {}
        self._counts: dict[str, int] = {}

    def add(self, node: Node) -> None:
        count = self._counts[node.op] = self._counts.get(node.op, 0) + 1
        name = f"{node.op.lower()}_{count}"
        output = "logits" if node.output == self.graph.output else name
        inputs = [self._values[value] for value in node.inputs] + self._parameters(node, name)
        attrs: dict[str, Any] = {}
        if node.op in ("Conv", "ConvTranspose"):
            attrs = {key: node.attrs[key] for key in ("dilations", "group", "pads", "strides")}
            attrs["kernel_shape"] = self.params[node.params[0]].shape[2:]
            if node.op == "ConvTranspose":
                attrs["output_padding"] = node.attrs["extra"]
        elif node.op == "Gemm":
            attrs = {"transB": 1}
        elif node.op == "Flatten":
            attrs = {"axis": 1}
        elif node.op == "Reshape":
            inputs.append(self._integers(f"{name}.shape", (0, *node.attrs["shape"])))  # 0 keeps the batch axis
        elif node.op == "Transpose":
            attrs = {"perm": (0, *(axis + 1 for axis in node.attrs["perm"]))}
        elif node.op == "Gather":
            attrs = {"axis": node.attrs["axis"] + 1}
            inputs.append(self._integers(f"{name}.indices", node.attrs["indices"]))
        elif node.op == "Pad":
            rank = len(node.attrs["pads"]) // 2
            before, after = node.attrs["pads"][:rank], node.attrs["pads"][rank:]
            inputs.append(self._integers(f"{name}.pads", (0, *before, 0, *after)))
        elif node.op == "ReduceSum":
            attrs = {"keepdims": 0}
            inputs.append(self._integers(f"{name}.axes", [axis + 1 for axis in node.attrs["axes"]]))
        elif node.op == "Square":
            inputs = inputs * 2
        elif node.op == "Silu":
            inputs.append(f"{name}.sigmoid")
            self.nodes.append(helper.make_node("Sigmoid", inputs[:1], inputs[1:], name=inputs[1]))
        elif node.op == "GeluTanh":
            attrs = {"approximate": "tanh"}
        self.nodes.append(helper.make_node(_ONNX.get(node.op, node.op), inputs, [output], name=name, **attrs))
        self._values[node.output] = output

    def _integers(self, name: str, values: Sequence[int]) -> str:
        return self._initializer(name, np.array(values, np.int64))

    def _parameters(self, node: Node, name: str) -> list[str]:
        roles = _PARAM_ROLES.get(node.op, ("constant",))
        rank = len(self.graph.shapes[node.output])
        names = []
        for role, param in zip(roles, node.params, strict=False):
            array = self.params[param]
            if role == "constant":  # with every axis spelled out, batch included, as [1,C,1,1]
                array = array.reshape((1,) * (1 + rank - array.ndim) + array.shape)
            elif role == "transposed":
                array = array.T
            key = (param, role == "transposed", array.shape)
            if key not in self._written:
                self._written[key] = self._initializer(f"{name}.{role}", array)
            names.append(self._written[key])
        return names

    def _initializer(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _elem_type(graph: Graph, params: Mapping[str, np.ndarray]) -> int:
    dtypes = {params[name].dtype for node in graph.nodes for name in node.params}
    if not dtypes <= {np.dtype(np.float32)} and not dtypes <= {np.dtype(np.float64)}:
        raise InputError(
            f"the weights are {', '.join(sorted(map(str, dtypes)))}; supported: all float32 or all float64. "
            "Convert them before exporting."
        )
    return helper.np_dtype_to_tensor_dtype(dtypes.pop() if dtypes else np.dtype(np.float32))
