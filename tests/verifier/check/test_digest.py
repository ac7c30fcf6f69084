"""The digest tells models apart by all that they compute, and by nothing else."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from glscert.verifier.check.digest import data_digest, model_digest
from glscert.verifier.check.refusal import NotCovered
from onnx_models import mlp


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = mlp()
    change(model)
    return model


def reorder(model: onnx.ModelProto) -> None:
    tensors = list(model.graph.initializer)[::-1]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)


def as_floats(model: onnx.ModelProto) -> None:
    """The same numbers in another field."""
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        tensor.ClearField("raw_data")
        tensor.float_data.extend(array.ravel().tolist())


SAME: dict[str, Callable[[onnx.ModelProto], object]] = {
    "metadata": lambda m: helper.set_model_props(m, {"certificate": "x"}),
    "doc string": lambda m: setattr(m, "doc_string", "x"),
    "producer": lambda m: setattr(m, "producer_name", "x"),
    "name of a node": lambda m: setattr(m.graph.node[0], "name", "x"),
    "order of initialisers": reorder,
    "field of numbers": as_floats,
}


def nudge(model: onnx.ModelProto) -> None:
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array.flat[0] = np.nextafter(array.flat[0], np.float32(np.inf))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, model.graph.initializer[0].name))


OTHER: dict[str, Callable[[onnx.ModelProto], object]] = {
    "a weight": nudge,
    "opset": lambda m: setattr(m.opset_import[0], "version", m.opset_import[0].version + 1),
    "operator": lambda m: setattr(m.graph.node[1], "op_type", "Sigmoid"),
    "domain": lambda m: setattr(m.graph.node[1], "domain", "x"),
    "attribute": lambda m: m.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.5)),
    "edge": lambda m: m.graph.node[0].input.__setitem__(1, m.graph.node[-1].input[1]),
    "shape of a tensor": lambda m: m.graph.initializer[0].dims.reverse(),
    "name of an initialiser": lambda m: setattr(m.graph.initializer[0], "name", "other"),
    "nodes in another order": lambda m: m.graph.node.insert(0, m.graph.node.pop()),
    "input's dims": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 7),
    "output": lambda m: setattr(m.graph.output[0], "name", m.graph.node[0].output[0]),
}


@pytest.mark.parametrize("name", SAME)
def test_what_computes_the_same_has_one_digest(name: str) -> None:
    assert model_digest(changed(SAME[name])) == model_digest(mlp())


def test_changes_have_digests_of_their_own() -> None:
    digests = {model_digest(changed(change)) for change in OTHER.values()}
    assert len(digests) == len(OTHER) and model_digest(mlp()) not in digests


def test_what_has_no_digest_is_not_covered() -> None:
    outside = mlp()
    outside.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    branching = mlp()
    branching.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "g", [], [])))
    functions = mlp()
    functions.functions.append(helper.make_function("d", "f", [], [], [], []))
    for model in (outside, branching, functions):
        with pytest.raises(NotCovered):
            model_digest(model)


def test_data_are_told_apart_by_their_numbers_alone() -> None:
    x, y = np.arange(12, dtype=np.float32).reshape(2, 6), np.array([0, 1])
    same = data_digest(x.reshape(2, 1, 2, 3).astype(np.float64), y.astype(np.int32))
    assert data_digest(x, y) == same
    others = [data_digest(x + 1, y), data_digest(x, 1 - y), data_digest(x.reshape(4, 3), np.array([0, 1, 0, 1]))]
    assert len({same, *others}) == 4
