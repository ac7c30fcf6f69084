"""Changes the structure of small valid ONNX files and holds what still loads to onnxruntime.

    mutate.py FIRST COUNT FOLDER

Prints a line of JSON for each file: how it ended, and what was wrong with that, if anything. A number whose line does not
follow ended the process: by a crash, or for its time or memory.
"""

import json
import resource
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import AttributeProto, TensorProto, helper, numpy_helper

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "laws")]

from test_translated import CASES

from glscert.verifier import Network, load
from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.graph.translate import TRANSLATIONS
from glscert.verifier.ops import evaluate
from random_models import DRAWS, random_model

SECONDS, MEMORY = 20, 6 * 2**30  # of a file; addresses beyond those that torch has taken, for onnxruntime's threads too
WHOLE = (0, 1, -1, 2, 3, 4, 5, -2, 7, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
REAL = (0.0, 1.0, -1.0, 0.5, 0.7, 0.3333333, 2.0, 1e-30, 1e16, -1e20, 3e38, float("nan"), float("inf"), -float("inf"))
WORDS = (
    "nearest", "linear", "cubic", "floor", "ceil", "round_prefer_ceil", "asymmetric", "half_pixel", "align_corners",
    "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize", "reflect", "edge", "wrap", "constant", "NOTSET",
    "SAME_UPPER", "SAME_LOWER", "VALID", "stretch", "not_larger", "tanh", "none", "",
)  # fmt: skip
OTHERS = ("Softmax", "LogSoftmax", "ArgMax", "Shape", "Constant", "Where", "Exp", "Sqrt", "Range", "Loop", "If", "Cos")
SUFFIXES = ("relu", "mul", "add", "sub", "sigmoid", "square", "gather", "pad", "flatten", "reshape", "factor", "shift")
POINTS, CLOSE = 6, 2e-5  # of the outputs' size: what float32 may differ by


class Mutation:
    """One valid file, changed in one to three places."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 11])
        builders = list(CASES.values())
        if self.rng.random() < 0.5:
            self.model = builders[int(self.rng.integers(len(builders)))]()
        else:
            self.model = random_model(self.rng, set(TRANSLATIONS), int(self.rng.integers(1, 4)))
        self.graph = self.model.graph
        self.done: list[str] = []
        for _ in range(int(self.rng.integers(1, 4))):
            change = CHANGES[int(self.rng.integers(len(CHANGES)))]
            with suppress(AttributeError, IndexError, OverflowError, TypeError, ValueError):  # nothing left to change
                if change(self):
                    self.done.append(change.__name__)

    def one_of(self, items):
        items = list(items)
        return items[int(self.rng.integers(len(items)))] if items else None

    def values(self) -> list[str]:
        return ["x", *(name for node in self.graph.node for name in node.output if name)]

    def fresh(self) -> str:
        return f"new{len(self.graph.node)}_{len(self.graph.initializer)}"

    def constant(self, array: np.ndarray) -> str:
        name = self.fresh()
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name


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
    "auto_pad": WORDS, "mode": WORDS, "nearest_mode": WORDS, "coordinate_transformation_mode": WORDS, "ceil_mode": (0, 1),
    "count_include_pad": (0, 1), "keepdims": (0, 1), "noop_with_empty_axes": (0, 1), "allowzero": (0, 1),
    "transA": (0, 1), "transB": (0, 1), "alpha": REAL, "beta": REAL, "axis": (-2, -1, 0, 1, 2), "group": (1, 2, 3),
    "storage_order": (0, 1), "epsilon": REAL, "spatial": (0, 1), "training_mode": (0, 1), "momentum": REAL,
    "exclude_outside": (0, 1), "cubic_coeff_a": REAL, "extrapolation_value": REAL, "to": (1, 7, 10, 11, 16),
    "value": REAL, "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"), "antialias": (0, 1),
    "approximate": ("none", "tanh"), "num_outputs": (1, 2, 3), "min": REAL, "max": REAL, "ratio": REAL, "end": (1, 2),
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


def change_dims(m: Mutation) -> bool:
    dims = m.graph.input[0].type.tensor_type.shape.dim
    kind = int(m.rng.integers(5))
    if kind == 0:
        m.one_of(dims).dim_value = m.one_of((1, 2, 3, 4, 5, 6, 0, -1, 2**40))
    elif kind == 1:
        m.one_of(dims).dim_param = m.one_of(("N", "batch", ""))
    elif kind == 2:
        dims.add().dim_value = m.one_of((1, 2))
    elif kind == 3:
        dims.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
    elif dims:
        del dims[int(m.rng.integers(len(dims)))]
    return True


def change_declared_output(m: Mutation) -> bool:
    own = m.graph.output[0].type.tensor_type
    own.shape.Clear()
    for _ in range(int(m.rng.integers(0, 4))):
        own.shape.dim.add().dim_value = m.one_of((1, 2, 3, 5, 0))
    if m.rng.random() < 0.3:
        own.elem_type = m.one_of((1, 7, 9, 10, 11))
    return True


def swap_operands(m: Mutation) -> bool:
    node = m.one_of([node for node in m.graph.node if len(node.input) > 1])
    if node is None:
        return False
    order = m.rng.permutation(len(node.input))
    names = [node.input[k] for k in order]
    node.ClearField("input")
    node.input.extend(names)
    return True


def repeat_an_operand(m: Mutation) -> bool:
    node = m.one_of([node for node in m.graph.node if node.input])
    if node is None:
        return False
    if m.rng.random() < 0.5:
        node.input.append(m.one_of(node.input))
    else:
        node.input[int(m.rng.integers(len(node.input)))] = m.one_of(node.input)
    return True


def empty_an_operand(m: Mutation) -> bool:
    node = m.one_of([node for node in m.graph.node if node.input])
    if node is None:
        return False
    if m.rng.random() < 0.5:
        node.input[int(m.rng.integers(len(node.input)))] = ""
    else:
        node.input.append("")
    return True


def read_another_value(m: Mutation) -> bool:
    node = m.one_of([node for node in m.graph.node if node.input])
    if node is None:
        return False
    names = [*m.values(), *(tensor.name for tensor in m.graph.initializer)]
    node.input[int(m.rng.integers(len(node.input)))] = m.one_of(names)
    return True


def change_the_operator(m: Mutation) -> bool:
    node = m.one_of(m.graph.node)
    node.op_type = m.one_of([*DRAWS, *OTHERS])
    if m.rng.random() < 0.5:
        node.ClearField("attribute")
    return True


def change_the_domain(m: Mutation) -> bool:
    m.one_of(m.graph.node).domain = m.one_of(("ai.onnx", "com.microsoft", "ai.onnx.ml", "my.own"))
    return True


def insert_an_operator(m: Mutation) -> bool:
    """Between a value and who reads it."""
    places = [(k, j) for k, node in enumerate(m.graph.node) for j, name in enumerate(node.input) if name in m.values()]
    if not places:
        return False
    place, operand = m.one_of(places)
    before, name = m.graph.node[place].input[operand], m.fresh()
    op = m.one_of([*DRAWS, *OTHERS])
    extra = (
        [m.constant(np.float32(m.one_of(REAL[:6])))] if op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow") else []
    )
    m.graph.node[place].input[operand] = name
    m.graph.node.insert(place, helper.make_node(op, [before, *extra], [name]))
    return True


def remove_a_node(m: Mutation) -> bool:
    node = m.one_of(m.graph.node)
    if not node.input or not node.output:
        return False
    source, gone = node.input[0], node.output[0]
    m.graph.node.remove(node)
    for other in m.graph.node:
        for place, name in enumerate(other.input):
            if name == gone:
                other.input[place] = source
    if m.graph.output[0].name == gone and m.graph.node:
        m.graph.output[0].name = m.graph.node[-1].output[0]
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


def change_the_opset(m: Mutation) -> bool:
    m.model.opset_import[0].version = int(m.rng.integers(6, 26))
    return True


def rename(m: Mutation) -> bool:
    """A value or weight takes a name that the loader might make up itself."""
    names = [*m.values()[1:], *(tensor.name for tensor in m.graph.initializer)]
    old = m.one_of(names)
    if old is None or old == m.graph.output[0].name:
        return False
    new = f"{m.one_of(names)}{m.one_of(('.', ':', '_'))}{m.one_of(SUFFIXES)}{m.one_of(('', '.2', '.3'))}"
    for node in m.graph.node:
        for names_of in (node.input, node.output):
            for place, name in enumerate(names_of):
                if name == old:
                    names_of[place] = new
    for tensor in m.graph.initializer:
        tensor.name = new if tensor.name == old else tensor.name
    return True


def name_the_nodes(m: Mutation) -> bool:
    for node in m.graph.node:
        node.name = m.one_of(("same", "", "x", "y", node.output[0] if node.output else ""))
    return True


def another_output(m: Mutation) -> bool:
    m.graph.output.append(helper.make_tensor_value_info(m.one_of(m.values()), TensorProto.FLOAT, None))
    return True


def an_earlier_output(m: Mutation) -> bool:
    m.graph.output[0].name = m.one_of(m.values())
    return True


def a_dead_node(m: Mutation) -> bool:
    m.graph.node.append(helper.make_node(m.one_of([*DRAWS, *OTHERS]), [m.one_of(m.values())], [m.fresh()]))
    return True


def an_unused_output(m: Mutation) -> bool:
    node = m.one_of(
        [n for n in m.graph.node if n.op_type in ("MaxPool", "Dropout", "BatchNormalization", "Split")] or m.graph.node
    )
    node.output.append(m.fresh())
    return True


def change_the_type(m: Mutation) -> bool:
    """All of it in float64, or only the input."""
    kind = m.one_of((TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL))
    m.graph.input[0].type.tensor_type.elem_type = kind
    if m.rng.random() < 0.7 and kind == TensorProto.DOUBLE:
        m.graph.output[0].type.tensor_type.elem_type = kind
        for tensor in m.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    return True


def shuffle_the_nodes(m: Mutation) -> bool:
    nodes = [m.graph.node[k] for k in m.rng.permutation(len(m.graph.node))]
    m.graph.ClearField("node")
    m.graph.node.extend(nodes)
    return True


CHANGES = (
    change_an_attribute, change_an_attribute, change_an_attribute, drop_an_attribute, add_an_attribute, add_an_attribute,
    add_an_attribute, change_dims, change_declared_output, swap_operands, repeat_an_operand, empty_an_operand,
    read_another_value, change_the_operator, change_the_operator, change_the_domain, insert_an_operator,
    insert_an_operator, remove_a_node, change_a_weight, change_a_weight, change_a_weight, listed_among_the_inputs,
    weight_without_a_value, weight_from_a_node, change_the_opset, rename, rename, name_the_nodes, another_output,
    an_earlier_output, a_dead_node, an_unused_output, change_the_type, shuffle_the_nodes,
)  # fmt: skip


def end(path: Path, rng: np.random.Generator) -> tuple[str, str]:
    """How the file ended, and what is wrong with that."""
    try:
        network = load(path)
        return compared(network, rng)
    except (InputError, UnsupportedError) as error:
        text = str(error)
        sentence = text.endswith(".") or "onnxruntime cannot" in text
        return type(error).__name__, "" if len(text) < 2500 and sentence else f"no sentence: {text[:200]}"
    except GlscertError as error:
        return type(error).__name__, str(error)[:200]
    except Exception as error:  # what a user would see as a traceback
        return "traceback", f"{type(error).__name__}: {str(error)[:200]}"


def compared(network: Network, rng: np.random.Generator) -> tuple[str, str]:
    """At points in [-1, 1], in float32 and in float64: onnxruntime lies between these two, or close by."""
    graph = network.graph
    x = rng.uniform(-1, 1, (POINTS, *graph.input_shape)).astype(np.float32)
    given = np.concatenate([network.runtime.logits(point[None]) for point in x]).astype(np.float64)
    found = ended(graph.ending, evaluate(graph, network.exact, torch.from_numpy(x).double()))
    single = ended(graph.ending, evaluate(graph, network.single, torch.from_numpy(x)))
    if given.shape != found.shape or given.shape[1] != graph.answers:
        return "loaded", f"onnxruntime gives {given.shape}, the graph {found.shape} for {graph.answers} answers"
    size = np.nan_to_num(np.abs(found).max(initial=1.0), posinf=np.inf)
    room = CLOSE * size + 4 * np.nan_to_num(np.abs(found - single), nan=np.inf)
    with np.errstate(invalid="ignore"):
        off = np.abs(given - found)
    if graph.ending == "ArgMax" or (np.isfinite(given).all() and np.isfinite(single).all()):
        return ("loaded", "") if (off <= room).all() else ("loaded", f"differs by {off.max():g} of {size:g}")
    return "loaded, not finite", ""


def ended(ending: str | None, logits: torch.Tensor) -> np.ndarray:
    """What the file makes of its logits."""
    if ending == "ArgMax":
        return logits.argmax(1, keepdim=True).double().numpy()
    if ending is not None:
        logits = logits.log_softmax(1) if ending == "LogSoftmax" else logits.softmax(1)
    return logits.double().numpy()


def main(first: int, count: int, folder: Path) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for seed in range(first, first + count):
        signal.alarm(SECONDS)  # ends the process
        mutation = Mutation(seed)
        path = folder / "mutated.onnx"
        path.write_bytes(mutation.model.SerializeToString())
        found, wrong = end(path, mutation.rng)
        print(json.dumps({"seed": seed, "end": found, "wrong": wrong, "changes": mutation.done}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
