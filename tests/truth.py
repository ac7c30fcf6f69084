"""What a small network does at a point, and where in a region it is lowest: footing for questions whose truth is known.

Points are found on the loaded network, by descents from many starts; what they are worth is said by onnx's own
reference on the file in float64, or by onnxruntime where that does not know the file.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from glscert.verifier.engine.gradient import outputs_and_gradient
from glscert.verifier.network import Network
from glscert.verifier.region import Norm
from glscert.verifier.search.attack import Objective

STARTS, STEPS, ROUNDS = 64, 15, 14
DOUBLE, SINGLE = 1e-12, 3e-6  # of the outputs' size: what the two sources may be wrong by
FLAWED = ("Erf", "Gelu", "HardSwish")  # where it rounds to float32, or computes with constants of it, such as 1/6
DIFFER = 1e-4  # of the outputs' size, beyond which two sources contradict each other

Project = Callable[[np.ndarray], np.ndarray]  # points [N, n] into the region


class Outputs(NamedTuple):
    """y [K] at a point, and how far off each may be."""

    y: np.ndarray
    error: float


def outputs_at(proto: onnx.ModelProto, network: Network, x: np.ndarray) -> Outputs:
    """For x [n] float64, in real arithmetic. onnxruntime's are those of the nearest float32 point, close by."""
    single = network.runtime.logits(x.reshape(1, *network.graph.input_shape).astype(np.float32))[0].astype(np.float64)
    size = max(1.0, float(np.abs(single).max()))
    declared = proto.graph.input[0].type.tensor_type.shape.dim
    shape = [dim.dim_value or 1 for dim in declared]
    try:
        (found,) = ReferenceEvaluator(doubled(proto)).run(None, {"x": x.reshape(shape)})
    except Exception:  # whatever it does not know
        return Outputs(single, SINGLE * size)
    y = np.asarray(found).ravel()
    if y.dtype != np.float64 or y.shape != single.shape or not np.abs(y - single).max() < DIFFER * size:
        return Outputs(single, SINGLE * size)
    flawed = any(node.op_type in FLAWED for node in proto.graph.node)
    return Outputs(y, (SINGLE if flawed else DOUBLE) * size)


def doubled(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same numbers in float64."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = TensorProto.DOUBLE
    return model


def lowest(
    network: Network, lower: np.ndarray, upper: np.ndarray, value: Objective, rng: np.random.Generator, project: Project
) -> np.ndarray:
    """A point [n] of the region, which `project` maps into within the box, where `value` is as low as descents lead."""
    width = upper - lower
    share = rng.random((STARTS, len(lower)))
    share[::2] = share[::2].round()
    points = project(lower + width * share)
    for step in range(STEPS):
        outputs, pull = outputs_and_gradient(network.engine, points)
        slope = pull(value(outputs, np.zeros(len(points), np.int64))[1])
        stride = width * 0.5 * 0.7**step
        points = project(np.clip(points - stride * np.sign(slope), lower, upper))
    radius = 0.1
    for _ in range(ROUNDS):
        best = points[np.argsort(_values(network, value, points))[:8]]
        moves = radius * rng.normal(size=(8, 12, len(lower))) * (rng.random((8, 12, len(lower))) < 0.7)
        near = np.clip(best[:, None] + width * moves, lower, upper).reshape(-1, len(lower))
        points = np.concatenate([best, project(near)])
        radius *= 0.35
    return points[_values(network, value, points).argmin()]


def _values(network: Network, value: Objective, points: np.ndarray) -> np.ndarray:
    return value(network.engine.evaluate(points), np.zeros(len(points), np.int64))[0]


def within(centre: np.ndarray, radius: np.ndarray, norm: Norm) -> Project:
    """Onto the ball around the centre [n], towards it; entries without a radius stay there."""

    def project(points: np.ndarray) -> np.ndarray:
        shares = np.divide(points - centre, radius, out=np.zeros_like(points), where=radius > 0)
        order = {Norm.LINF: np.inf, Norm.L2: 2, Norm.L1: 1}[norm]
        size = np.linalg.norm(shares, order, axis=1, keepdims=True)
        return centre + shares / np.maximum(size, 1) * (1 - 1e-12) * radius

    return project
