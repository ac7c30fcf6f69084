"""Changes of nodes, operands, names and types, and the table of all changes."""

from contextlib import suppress

import numpy as np
import onnx
from mutation import REAL, Mutation
from number_changes import (
    add_an_attribute,
    change_a_weight,
    change_an_attribute,
    drop_an_attribute,
    listed_among_the_inputs,
    weight_from_a_node,
    weight_without_a_value,
)
from onnx import TensorProto, helper, numpy_helper

from operator_draws import DRAWS

OTHERS = ("Softmax", "LogSoftmax", "ArgMax", "Shape", "Constant", "Where", "Exp", "Sqrt", "Range", "Loop", "If", "Cos")
SUFFIXES = ("relu", "mul", "add", "sub", "sigmoid", "square", "gather", "pad", "flatten", "reshape", "factor", "shift")


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
    change_an_attribute, change_an_attribute, change_an_attribute, drop_an_attribute, add_an_attribute,
    add_an_attribute, add_an_attribute, change_dims, change_declared_output, swap_operands, repeat_an_operand,
    empty_an_operand, read_another_value, change_the_operator, change_the_operator, change_the_domain,
    insert_an_operator, insert_an_operator, remove_a_node, change_a_weight, change_a_weight, change_a_weight,
    listed_among_the_inputs, weight_without_a_value, weight_from_a_node, change_the_opset, rename, rename,
    name_the_nodes, another_output, an_earlier_output, a_dead_node, an_unused_output, change_the_type,
    shuffle_the_nodes,
)  # fmt: skip


def mutated(seed: int) -> Mutation:
    """A valid file, changed in one to three places."""
    mutation = Mutation(seed)
    for _ in range(int(mutation.rng.integers(1, 4))):
        change = CHANGES[int(mutation.rng.integers(len(CHANGES)))]
        # nothing is left to change, or an earlier change left nonsense
        with suppress(AttributeError, IndexError, OverflowError, TypeError, ValueError, onnx.defs.SchemaError):
            if change(mutation):
                mutation.done.append(change.__name__)
    return mutation
