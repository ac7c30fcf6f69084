"""Random small ONNX networks of all operators that are read, in the forms of several opsets.

`DRAWS` (operator_draws.py) has, for every operator, how one is drawn.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from draft import Draft
from onnx_models import make
from operator_draws import BENDING, DRAWS, FIRST, STRAIGHT

OPSETS = (13, 13, 18, 20, 24, 9)
MOST_BENDS = 30  # entries of nonlinearities' inputs in a network

INPUTS = ((1, 2), (1, 3), (1, 4), (1, 1, 5), (1, 2, 3), (1, 1, 3, 3), (1, 2, 2, 3))


def draw(draft: Draft, op: str, x: str) -> str | None:
    """A node of that operator on the value x; its output, or None where it does not fit."""
    if draft.opset < FIRST.get(op, 0):
        return None
    if op == "Split":
        return _split(draft, x)
    drawn = DRAWS[op](draft, x)
    if drawn is None or (op in BENDING and draft.bends + np.prod(draft.dims[x]) > MOST_BENDS):
        return None
    names = draft.add(op, drawn[0], **drawn[1])
    if names is None:
        return None
    draft.bends += int(np.prod(draft.dims[x])) if op in BENDING else 0
    return names[0]


def _split(draft: Draft, x: str) -> str | None:
    axis = len(draft.dims[x]) - 1
    if draft.dims[x][axis] % 2 or axis == 0:
        return None
    sizes = [draft.dims[x][axis] // 2] * 2
    given = ([x, draft.ints(sizes)], {}) if draft.opset >= 13 else ([x], {"split": sizes})
    parts = draft.add("Split", given[0], 2, axis=axis, **given[1])
    found = parts and draft.add("Sub", parts if draft.chance() else parts[::-1])
    return found[0] if found else None


def random_model(rng: np.random.Generator, operators: set[str], outputs: int) -> onnx.ModelProto:
    """From x to `outputs` numbers y, by 2 to 8 of the operators; the last but one value is the output of a Gemm."""
    draft = Draft(rng, int(rng.choice(OPSETS)), INPUTS[int(rng.integers(len(INPUTS)))])
    bending, straight = ([op for op in table if op in operators] for table in (BENDING, [*STRAIGHT, "Split"]))
    x, wanted, tries = "x", int(rng.integers(2, 9)), 0
    while wanted and tries < 60:
        tries += 1
        found = draw(draft, draft.one_of(bending if draft.chance(0.4) else straight), x)
        if found is not None:
            x, wanted = found, wanted - 1
            if draft.chance(0.15):  # a branch: the next operator starts further back
                x = draft.one_of([name for name in draft.dims if name != "x"])
    if len(draft.dims[x]) != 2:
        (x,) = draft.add("Flatten", [x], axis=1) or [x]
    if draft.bends == 0 or draft.chance(0.3):
        hidden = draft.add("Gemm", [x, draft.normal(draft.dims[x][1], 4), draft.normal(4, scale=0.3)])
        (x,) = draft.add("Relu", hidden or [x]) or [x]
    weight = draft.normal(draft.dims[x][1], outputs)
    draft.nodes.append(helper.make_node("Gemm", [x, weight, draft.normal(outputs, scale=0.3)], ["y"]))
    dims = ["batch" if rng.random() < 0.5 else 1, *draft.dims["x"][1:]]
    proto = make(_needed(draft.nodes), dims, draft.consts, draft.opset)
    read = {name for node in proto.graph.node for name in node.input}
    unread = [tensor for tensor in proto.graph.initializer if tensor.name not in read]
    for tensor in unread:
        proto.graph.initializer.remove(tensor)
    return proto


def _needed(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Those that y depends on."""
    wanted, kept = {"y"}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def with_shift(proto: onnx.ModelProto, shift: np.ndarray) -> onnx.ModelProto:
    """y + shift [K], in two steps: float32 alone would round it."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    coarse = shift.astype(np.float32)
    model.graph.node[-1].output[0] = "unshifted"
    for name, array in (("coarse", coarse), ("fine", (shift - coarse).astype(np.float32))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.node.append(helper.make_node("Add", ["unshifted", "coarse"], ["nearly"]))
    model.graph.node.append(helper.make_node("Add", ["nearly", "fine"], ["y"]))
    return model
