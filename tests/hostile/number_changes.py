"""Changes of attributes and weights. Each says whether it found something to change."""

import numpy as np
import onnx
from mutation import REAL, WHOLE, Mutation
from onnx import AttributeProto, helper, numpy_helper

WORDS = (
    "nearest", "linear", "cubic", "floor", "ceil", "round_prefer_ceil", "asymmetric", "half_pixel", "align_corners",
    "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize", "reflect", "edge", "wrap", "constant", "NOTSET",
    "SAME_UPPER", "SAME_LOWER", "VALID", "stretch", "not_larger", "tanh", "none", "",
)  # fmt: skip


def change_an_attribute(m: Mutation) -> bool:
    attribute = m.one_of([a for node in m.graph.node for a in node.attribute])
    if attribute is None:
        return False
    if attribute.type == AttributeProto.INTS and attribute.ints:
        if m.rng.random() < 0.7:
            place = int(m.rng.integers(len(attribute.ints)))
            attribute.ints[place] = m.one_of([attribute.ints[place] + 1, attribute.ints[place] - 1, *WHOLE])
        elif m.rng.random() < 0.5:
            attribute.ints.append(m.one_of(WHOLE))
        else:
            del attribute.ints[-1]
    elif attribute.type == AttributeProto.INT:
        attribute.i = m.one_of([attribute.i + 1, attribute.i - 1, *WHOLE])
    elif attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        attribute.f = m.one_of(REAL)
    else:
        attribute.s = m.one_of(WORDS).encode()
    return True


def drop_an_attribute(m: Mutation) -> bool:
    node = m.one_of([node for node in m.graph.node if node.attribute])
    if node is not None:
        del node.attribute[int(m.rng.integers(len(node.attribute)))]
    return node is not None


ATTRIBUTES = {
    "auto_pad": WORDS, "mode": WORDS, "nearest_mode": WORDS, "coordinate_transformation_mode": WORDS,
    "ceil_mode": (0, 1), "count_include_pad": (0, 1), "keepdims": (0, 1), "noop_with_empty_axes": (0, 1),
    "allowzero": (0, 1), "transA": (0, 1), "transB": (0, 1), "alpha": REAL, "beta": REAL, "axis": (-2, -1, 0, 1, 2),
    "group": (1, 2, 3), "storage_order": (0, 1), "epsilon": REAL, "spatial": (0, 1), "training_mode": (0, 1),
    "momentum": REAL, "exclude_outside": (0, 1), "cubic_coeff_a": REAL, "extrapolation_value": REAL,
    "to": (1, 7, 10, 11, 16), "value": REAL, "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
    "antialias": (0, 1), "approximate": ("none", "tanh"), "num_outputs": (1, 2, 3), "min": REAL, "max": REAL,
    "ratio": REAL, "end": (1, 2),
}  # fmt: skip
LISTS = (
    "strides",
    "pads",
    "dilations",
    "axes",
    "output_padding",
    "output_shape",
    "kernel_shape",
    "perm",
    "split",
    "scales",
)


def add_an_attribute(m: Mutation) -> bool:
    node = m.one_of(m.graph.node)
    schema = (
        onnx.defs.get_schema(node.op_type, m.model.opset_import[0].version, "") if onnx.defs.has(node.op_type) else None
    )
    known = [name for name in (schema.attributes if schema else ()) if name in ATTRIBUTES or name in LISTS]
    name = m.one_of(known)
    if name is None:
        return False
    for place in [k for k, attribute in enumerate(node.attribute) if attribute.name == name]:
        del node.attribute[place]
    value = (
        m.one_of(ATTRIBUTES[name])
        if name in ATTRIBUTES
        else [m.one_of((0, 1, 2, 3)) for _ in range(int(m.rng.integers(1, 5)))]
    )
    node.attribute.append(helper.make_attribute(name, value))
    return True


def change_a_weight(m: Mutation) -> bool:
    tensor = m.one_of(m.graph.initializer)
    if tensor is None:
        return False
    array = np.array(numpy_helper.to_array(tensor))
    kind, real = int(m.rng.integers(6)), array.dtype.kind == "f"
    if kind == 0 and array.size:
        array.reshape(-1)[int(m.rng.integers(array.size))] = m.one_of(REAL if real else WHOLE[:9])
    elif kind == 1:
        shapes = [(-1,), (1, -1), (-1, 1), (1, 1, -1), array.shape[::-1]]
        array = array.reshape(m.one_of(shapes))
    elif kind == 2:
        array = array.T if array.ndim > 1 else array[:0]
    elif kind == 3:
        array = array.astype(m.one_of((np.float64, np.float16, np.int64, np.int32, np.int8, np.bool_)))
    elif kind == 4 and real:
        array = array * np.float32(m.one_of((1e10, 1e-30, -1, 1e30)))
    else:
        array = np.concatenate([array.ravel(), array.ravel()[:1]])
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    return True


def listed_among_the_inputs(m: Mutation) -> bool:
    tensor = m.one_of(m.graph.initializer)
    if tensor is not None:
        m.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return tensor is not None


def weight_without_a_value(m: Mutation) -> bool:
    """An initialiser becomes a second input."""
    tensor = m.one_of(m.graph.initializer)
    if tensor is not None:
        m.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        m.graph.initializer.remove(tensor)
    return tensor is not None


def weight_from_a_node(m: Mutation) -> bool:
    """An initialiser becomes a Constant, or what others make of it."""
    tensor = m.one_of(m.graph.initializer)
    if tensor is None:
        return False
    array = np.array(numpy_helper.to_array(tensor))
    own = [helper.make_node("Constant", [], [tensor.name], value=numpy_helper.from_array(array))]
    if m.rng.random() < 0.5:
        own[0].output[0] = f"{tensor.name}_stored"
        own.append(
            helper.make_node(m.one_of(("Identity", "Neg", "Abs", "Sqrt", "Floor")), list(own[0].output), [tensor.name])
        )
    m.graph.initializer.remove(tensor)
    for node in own[::-1]:
        m.graph.node.insert(0, node)
    return True
