"""A small ONNX network while it is drawn at random; shapes come from onnx's own inference."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

MOST_NUMBERS = 40  # of a value
Drawn = tuple[list[str], dict[str, Any]] | None  # operands, attributes


class Draft:
    """A network being drawn: `dims` of its computed values with a batch of one, the constants, the nodes."""

    def __init__(self, rng: np.random.Generator, opset: int, dims: tuple[int, ...]) -> None:
        self.rng, self.opset = rng, opset
        self.dims: dict[str, tuple[int, ...]] = {"x": dims}
        self.truths: dict[str, tuple[int, ...]] = {}  # of comparisons, which only a Where takes
        self.consts: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.bends = 0

    def one_of(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def whole(self, low: int, high: int) -> int:
        """low … high."""
        return int(self.rng.integers(low, high + 1))

    def const(self, array: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.consts)}"
        self.consts[name] = np.asarray(array, dtype)
        return name

    def ints(self, values: Any) -> str:
        return self.const(list(values), np.int64)

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        return self.const(scale * self.rng.normal(size=shape))

    def add(self, op: str, inputs: list[str], outputs: int = 1, **attrs: Any) -> list[str] | None:
        """The names of a node's outputs; None where the standard does not have it or a value would be too large."""
        names = [f"v{len(self.nodes)}" if k == 0 else f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        node = helper.make_node(op, inputs, names, **attrs)
        found = self._shapes(node)
        if found is None:
            return None
        (self.truths if op in ("Greater", "Less") else self.dims).update(found)
        self.nodes.append(node)
        return names

    def _shapes(self, node: onnx.NodeProto) -> dict[str, tuple[int, ...]] | None:
        types, known = {}, {}
        for name in filter(None, node.input):
            if name in self.consts:
                known[name] = numpy_helper.from_array(self.consts[name], name)
                types[name] = helper.make_tensor_type_proto(known[name].data_type, list(known[name].dims))
            elif name in self.truths:
                types[name] = helper.make_tensor_type_proto(onnx.TensorProto.BOOL, list(self.truths[name]))
            else:
                types[name] = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, list(self.dims[name]))
        schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        imports = [helper.make_opsetid("", self.opset)]
        try:
            found = infer_node_outputs(schema, node, types, known, opset_imports=imports, ir_version=8)
        except (InferenceError, onnx.checker.ValidationError):
            return None
        dims = {}
        for name in node.output:
            own = found[name].tensor_type
            sizes = [dim.dim_value for dim in own.shape.dim]
            if not own.HasField("shape") or not sizes or min(sizes) < 1 or np.prod(sizes) > MOST_NUMBERS:
                return None
            dims[name] = tuple(sizes)
        return dims
