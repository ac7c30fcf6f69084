"""Law: the program for many boxes gives sound bounds, on one box those of back-substitution."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in
from glscert.verifier.engine import layers
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.dense import dense_network
from glscert.verifier.engine.images import image
from glscert.verifier.engine.layers import DenseLayer, dense_layers
from glscert.verifier.engine.steps import Bend
from glscert.verifier.engine.substitution import relax, spec_bound, substituted
from glscert.verifier.functions import Box
from random_graphs import GRAPHS, Builder

BOXES = 37  # not a whole number of vectors


def _mlp(rng, widths=(3, 11, 7, 13, 4)):
    builder = Builder((widths[0],), rng)
    value = "x"
    for width in widths[1:-1]:
        value = builder.relu(builder.gemm(value, width))
    return builder.finish(builder.gemm(value, widths[-1]))


def _case(seed, radius):
    """Of which all boxes have the rows of the first."""
    case = engine_case("mlp", seed, batch=BOXES, rows=5, radius=radius, make=_mlp)
    return case._replace(spec=case.spec._replace(rows=case.spec.rows[:1], offset=case.spec.offset[:1]))


def _network(case):
    network = dense_network(case.engine)
    if network is None:
        pytest.skip("no C compiler on this machine")
    weight, bias = network.rows(case.spec.rows[0])
    return network, DenseLayer(weight, bias + case.spec.offset[0])


def _plainly(case, box):
    """With both bounds of every neuron that is unstable in its interval image."""
    pre, boxes, anchor = {}, {0: box}, Anchor(box)
    for step in case.engine.steps:
        if isinstance(step, Bend):
            lower, upper = boxes[step.into]
            if step.name not in case.engine.exact:
                rows = np.concatenate([np.eye(step.size), -np.eye(step.size)])[None]
                least = substituted(case.engine, step.into, rows, relax(case.engine, pre), anchor).least(anchor)
                unstable = step.function.unstable(boxes[step.into])
                lower = np.where(unstable, np.maximum(lower, least[:, : step.size]), lower)
                upper = np.where(unstable, np.minimum(upper, -least[:, step.size :]), upper)
            boxes[step.into] = pre[step.name] = Box(lower, upper)
        boxes[step.out] = image(step, boxes)
    return spec_bound(case.engine, case.spec, relax(case.engine, pre), anchor)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [0.1, 0.5])
def test_bounds_of_many_boxes(seed, radius):
    case = _case(seed, radius)
    network, last = _network(case)
    lower, upper = case.box
    none = np.zeros((BOXES, network.neurons))
    found = network.bounds(last, lower, upper, none)
    np.testing.assert_allclose(found.lower, _plainly(case, case.box), rtol=1e-9, atol=1e-9)
    _check_sound(case, network, found, case.box)
    half = Box(lower, (lower + upper) / 2)
    _check_sound(case, network, network.bounds(last, *half, none, found.signs), half)


def _check_sound(case, network, found, box):
    """At random points of the boxes: the bounds, the lines, and the signs of every pre-activation."""
    points = points_in(box, case.rng, 25)
    constant = found.lower - np.einsum("bmi,bi->bm", np.maximum(found.coef, 0), box.lower)
    constant = constant - np.einsum("bmi,bi->bm", np.minimum(found.coef, 0), box.upper)
    for x in points:
        values = case.engine.values(x)
        rows = values[case.engine.output] @ case.spec.rows[0].T + case.spec.offset
        assert (rows >= found.lower - 1e-9).all()
        assert (rows >= np.einsum("bmi,bi->bm", found.coef, x) + constant - 1e-9).all()
        pre = np.concatenate([values[bend.into] for bend in case.engine.bends.values()], 1)
        assert pre.shape[1] == network.neurons
        assert (pre * found.signs >= -1e-9).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_network_written_out_is_the_network(name):
    case = engine_case(name, batch=3)
    written = dense_layers(case.engine)
    if written is None:
        return
    assert len(written) == len(case.engine.bends) + 1
    value = case.box.lower
    for weight, bias in written[:-1]:
        value = np.maximum(value @ weight.T + bias, 0)
    np.testing.assert_allclose(
        value @ written[-1].weight.T + written[-1].bias, case.engine.evaluate(case.box.lower), rtol=1e-9, atol=1e-9
    )


def test_neurons_are_widened_before_their_signs_are_told():
    case = _case(3, 0.1)
    network, last = _network(case)
    none = np.zeros((BOXES, network.neurons))
    plain = network.bounds(last, *case.box, none).signs
    for neuron in (0, 10, 11, network.neurons - 1):  # the ends of layers
        error = none.copy()
        error[:, neuron] = 1e3
        found = network.bounds(last, *case.box, error).signs
        assert plain[:, neuron].any() and not found[:, neuron].any()
        beside = [each for each in range(11) if each != neuron]  # the first layer's
        np.testing.assert_array_equal(found[:, beside], plain[:, beside])


def test_overflow_proves_nothing():
    case = _case(0, 0.3)
    network, last = _network(case)
    wide = np.full((2, 3), 1e308)
    assert not (network.bounds(last, -wide, wide, np.zeros((2, network.neurons))).lower > 0).any()


def _wide_on_the_way(rng):
    """4 -> 60 -> 5 without a ReLU between, then one: no matrix of it is large, what it passes through is."""
    builder = Builder((4,), rng)
    return builder.finish(builder.gemm(builder.relu(builder.gemm(builder.gemm("x", 60), 5)), 2))


@pytest.mark.parametrize(("most", "dense"), ((60 * 5, True), (60 * 5 - 1, False)))
def test_what_is_large_on_the_way_to_a_matrix_is_none(monkeypatch, most, dense):
    monkeypatch.setattr(layers, "_MOST_ENTRIES", most)
    case = engine_case("wide", 0, make=_wide_on_the_way)
    assert (dense_layers(case.engine) is not None) == dense
