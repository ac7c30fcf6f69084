"""Law: the program for many boxes gives sound bounds, those of DeepPoly on boxes that are no wider than intervals."""

import numpy as np
import pytest

from glscert.verifier.engine import compiled
from glscert.verifier.engine.dense import DenseNetwork, dense_network
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.layers import DenseLayer, dense_layers
from glscert.verifier.engine.threads import set_threads, threads
from random_graphs import CURVED, GRAPHS, Builder
from reference import forward, relu_lines

BOXES = 37  # not a whole number of vectors


def mlp(rng, widths=(3, 11, 7, 13, 4)):
    builder = Builder((widths[0],), rng)
    value = "x"
    for width in widths[1:-1]:
        value = builder.relu(builder.gemm(value, width))
    return builder.finish(builder.gemm(value, widths[-1]))


class Drawn:
    def __init__(self, seed, radius, boxes=BOXES):
        rng = np.random.default_rng(seed)
        self.graph, self.params = mlp(rng)
        network = dense_network(Engine(self.graph, self.params))
        if network is None:
            pytest.skip(compiled.why_none())
        self.network: DenseNetwork = network
        centre = rng.uniform(-1, 1, (boxes, 3))
        self.lower, self.upper = (
            centre - rng.uniform(0, radius, (boxes, 3)),
            centre + rng.uniform(0, radius, (boxes, 3)),
        )
        self.directions, self.offset = rng.normal(size=(5, 4)), rng.normal(size=5)
        last = self.network.rows(self.directions)
        self.last = DenseLayer(last.weight, last.bias + self.offset)
        self.rng = rng

    @property
    def matrices(self) -> list[DenseLayer]:
        return [
            DenseLayer(*(self.params[name] for name in node.params)) for node in self.graph.nodes if node.op == "Gemm"
        ]

    @property
    def none(self):
        """No errors."""
        return np.zeros((len(self.lower), self.network.neurons))


def back(layers, lines, rows, lower, upper):
    """Lower bounds of rows over the last of the layers, through the lines of those before."""
    bound, form = rows @ layers[-1].bias, rows @ layers[-1].weight
    for layer, (low, up, start) in zip(layers[-2::-1], lines[::-1], strict=True):
        bound = bound + np.minimum(form, 0) @ start
        form = np.maximum(form, 0) * low + np.minimum(form, 0) * up
        bound, form = bound + form @ layer.bias, form @ layer.weight
    return bound + np.maximum(form, 0) @ lower + np.minimum(form, 0) @ upper


def by_hand(hidden, last, lower, upper):
    """Of one box: every pre-activation's box is cut to its interval image."""
    lines, inner = [], (lower, upper)
    for k, layer in enumerate(hidden):
        plus, minus = np.maximum(layer.weight, 0), np.minimum(layer.weight, 0)
        low = plus @ inner[0] + minus @ inner[1] + layer.bias
        high = plus @ inner[1] + minus @ inner[0] + layer.bias
        each = np.eye(len(layer.bias))
        below, above = (back(hidden[: k + 1], lines, sign * each, lower, upper) for sign in (1, -1))
        unstable = (low < 0) & (high > 0)
        low = np.where(unstable, np.maximum(low, below), low)
        high = np.where(unstable, np.minimum(high, -above), high)
        lines.append(relu_lines(low, high))
        inner = np.maximum(low, 0), np.maximum(high, 0)
    return back([*hidden, last], lines, np.eye(len(last.bias)), lower, upper)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [0.1, 0.5])
def test_bounds_of_many_boxes(seed, radius):
    drawn = Drawn(seed, radius)
    lower, upper, network = drawn.lower, drawn.upper, drawn.network
    found = network.bounds(drawn.last, lower, upper, drawn.none)
    expected = [by_hand(drawn.matrices[:-1], drawn.last, *box) for box in zip(lower, upper, strict=True)]
    np.testing.assert_allclose(found.lower, expected, rtol=1e-9, atol=1e-9)
    check_sound(drawn, found, lower, upper)
    middle = (lower + upper) / 2
    check_sound(drawn, network.bounds(drawn.last, lower, middle, drawn.none, found.signs), lower, middle)


def check_sound(drawn, found, lower, upper):
    """At random points of the boxes: the bounds, the lines, and the signs of every pre-activation."""
    constant = found.lower - np.einsum("bmi,bi->bm", np.maximum(found.coef, 0), lower)
    constant = constant - np.einsum("bmi,bi->bm", np.minimum(found.coef, 0), upper)
    for _ in range(50):
        x = drawn.rng.uniform(lower, upper)
        values = forward(drawn.graph, drawn.params, x)
        rows = values[drawn.graph.output] @ drawn.directions.T + drawn.offset
        assert (rows >= found.lower - 1e-9).all()
        assert (rows >= np.einsum("bmi,bi->bm", found.coef, x) + constant - 1e-9).all()
        pre = np.concatenate([values[node.inputs[0]] for node in drawn.graph.nodes if node.op == "Relu"], 1)
        assert (pre * found.signs >= -1e-9).all()


def test_threads_share_the_boxes():
    drawn, before = Drawn(0, 0.3, boxes=500), threads()
    found = []
    for count in (1, 3):
        set_threads(count)
        found.append(drawn.network.bounds(drawn.last, drawn.lower, drawn.upper, drawn.none))
    set_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_a_network_written_out_is_the_network(name):
    rng = np.random.default_rng(3)
    graph, params = (GRAPHS | CURVED)[name](rng)
    layers = dense_layers(Engine(graph, params))
    kinds = {node.op for node in graph.nodes}
    assert (layers is not None) == (name not in CURVED and "Relu" in kinds and name not in BRANCHING)
    if layers is None:
        return
    value = x = rng.normal(size=(3, int(np.prod(graph.input_shape))))
    for layer in layers[:-1]:
        value = np.maximum(value @ layer.weight.T + layer.bias, 0)
    expected = forward(graph, params, x.reshape(3, *graph.input_shape))[graph.output].reshape(3, -1)
    np.testing.assert_allclose(value @ layers[-1].weight.T + layers[-1].bias, expected, rtol=1e-10, atol=1e-10)


BRANCHING = {"residual", "dense_residual", "relu_on_input", "branches", "pooled"}  # that meet after a ReLU


def test_neurons_are_widened_before_their_signs_are_told():
    drawn = Drawn(3, 0.1)
    network, last, lower, upper = drawn.network, drawn.last, drawn.lower, drawn.upper
    plain = network.bounds(last, lower, upper, drawn.none).signs
    for neuron in (0, 10, 11, network.neurons - 1):  # the ends of layers
        error = drawn.none
        error[:, neuron] = 1e3
        found = network.bounds(last, lower, upper, error).signs
        assert plain[:, neuron].any() and not found[:, neuron].any()
        beside = [each for each in range(11) if each != neuron]  # the first layer's
        np.testing.assert_array_equal(found[:, beside], plain[:, beside])


def test_overflow_proves_nothing():
    drawn = Drawn(0, 0.1, boxes=2)
    wide = np.full((2, 3), 1e308)
    assert not (drawn.network.bounds(drawn.last, -wide, wide, drawn.none).lower > 0).any()


@pytest.mark.parametrize(("wide", "dense"), ((1 << 18, True), ((1 << 18) + 1, False)))
def test_what_is_large_on_the_way_to_a_matrix_is_none(wide, dense):
    """No matrix of it is large, what its rows pass through is."""
    builder = Builder((2,), np.random.default_rng(0))
    spread = builder.gather("x", 0, (0, 1) * (wide // 2) + (0,) * (wide % 2))
    narrow = builder.reduce_sum(builder.reshape(spread, (1, wide)), (1,))
    several = builder.gather(narrow, 0, (0, 0, 0, 0))
    engine = Engine(*builder.finish(builder.gemm(builder.relu(several), 2)))
    assert (dense_layers(engine) is not None) == dense
