"""Law: the program for many boxes gives sound bounds, on one box those of torch."""

import pytest
import torch

import glscert.verifier.bounds.dense
from cases import make_case, preactivations
from glscert.verifier.bounds import Box, Spec
from glscert.verifier.bounds.dense import dense_layers
from glscert.verifier.bounds.substitution import anchor, relax, spec_bound
from glscert.verifier.ops import evaluate
from glscert.verifier.ops.dense import DenseLayer, DenseNetwork, dense_network
from glscert.verifier.search import intermediate
from random_graphs import GRAPHS, Builder

BOXES = 37  # not a whole number of vectors


def _mlp(rng, widths=(3, 11, 7, 13, 4)):
    builder = Builder((widths[0],), rng)
    value = "x"
    for width in widths[1:-1]:
        value = builder.relu(builder.gemm(value, width))
    return builder.finish(builder.gemm(value, widths[-1]))


def _network(case) -> tuple[DenseNetwork, DenseLayer]:
    layers = dense_layers(case.graph, case.params)
    assert layers is not None
    network = dense_network(layers[:-1])
    if network is None:
        pytest.skip("no C compiler on this machine")
    weight, bias = layers[-1]
    rows, offset = case.spec.rows[0], case.spec.offset[0]
    return network, DenseLayer(rows @ weight, rows @ bias + offset)


def _by_torch(case, box: Box) -> torch.Tensor:
    """Without the program for rows, which looks at one side of a neuron that keeps its sign."""
    spec = Spec(case.spec.rows[:1], case.spec.offset[:1])
    base = anchor(case.graph, case.params, box)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intermediate, "rows_of", lambda *_: None)
        pre = preactivations(case, base)
    return spec_bound(case.graph, case.params, base, spec, relax(case.graph, pre))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [0.1, 0.5])
def test_bounds_of_many_boxes(seed, radius):
    case = make_case("mlp", seed, batch=BOXES, rows=5, radius=radius, make=_mlp)
    network, last = _network(case)
    lower, upper = (end.flatten(1) for end in case.box)
    none = torch.zeros(BOXES, network.neurons, dtype=torch.float64)
    found = network.bounds(last, lower, upper, none)
    for k in range(BOXES):  # alone, for beside others torch narrows some neurons that need not be
        by_torch = _by_torch(case, Box(case.box.lower[k : k + 1], case.box.upper[k : k + 1]))
        torch.testing.assert_close(found.lower[k : k + 1], by_torch, rtol=1e-9, atol=1e-9)
    _check_sound(case, network, found, lower, upper, seed)
    middle = (lower + upper) / 2
    _check_sound(case, network, network.bounds(last, lower, middle, none, found.signs), lower, middle, seed)


def _check_sound(case, network, found, lower, upper, seed):
    """At random points of the boxes: the bounds, the lines, and the signs of every pre-activation."""
    hidden = dense_layers(case.graph, case.params)[:-1]
    generator = torch.Generator().manual_seed(seed)
    constant = found.lower - torch.einsum("bmi,bi->bm", found.coef.clamp(min=0), lower)
    constant = constant - torch.einsum("bmi,bi->bm", found.coef.clamp(max=0), upper)
    for _ in range(50):
        x = lower + (upper - lower) * torch.rand(lower.shape, generator=generator, dtype=lower.dtype)
        y = evaluate(case.graph, case.params, x.reshape(case.box.lower.shape))
        rows = y @ case.spec.rows[0].T + case.spec.offset[0]
        assert (rows >= found.lower - 1e-9).all()
        assert (rows >= torch.einsum("bmi,bi->bm", found.coef, x) + constant - 1e-9).all()
        pre, value = [], x
        for weight, bias in hidden:
            pre.append(value @ weight.T + bias)
            value = torch.relu(pre[-1])
        pre = torch.cat(pre, 1)
        assert (pre * found.signs >= -1e-9).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_network_written_out_is_the_network(name):
    case = make_case(name, batch=3)
    layers = dense_layers(case.graph, case.params)
    relus = [node for node in case.graph.nodes if node.op == "Relu"]
    if layers is None:
        return
    assert len(layers) == len(relus) + 1
    value = case.box.lower.flatten(1)
    for weight, bias in layers[:-1]:
        value = torch.relu(value @ weight.T + bias)
    expected = evaluate(case.graph, case.params, case.box.lower)
    torch.testing.assert_close(value @ layers[-1].weight.T + layers[-1].bias, expected.flatten(1))


def test_neurons_are_widened_before_their_signs_are_told():
    case = make_case("mlp", 3, batch=BOXES, rows=5, radius=0.1, make=_mlp)
    network, last = _network(case)
    lower, upper = (end.flatten(1) for end in case.box)
    none = torch.zeros(BOXES, network.neurons, dtype=torch.float64)
    plain = network.bounds(last, lower, upper, none).signs
    for neuron in (0, 10, 11, network.neurons - 1):  # the ends of layers
        found = network.bounds(last, lower, upper, none.index_fill(1, torch.tensor(neuron), 1e3)).signs
        assert plain[:, neuron].any() and not found[:, neuron].any()
        beside = [each for each in range(11) if each != neuron]  # the first layer's
        assert torch.equal(found[:, beside], plain[:, beside])


def test_overflow_proves_nothing():
    case = make_case("mlp", batch=2, rows=5, make=_mlp)
    network, last = _network(case)
    wide = torch.full((2, 3), 1e308, dtype=torch.float64)
    assert not (network.bounds(last, -wide, wide, torch.zeros(2, network.neurons, dtype=torch.float64)).lower > 0).any()


def _wide_on_the_way(rng):
    """4 -> 60 -> 5 without a ReLU between, then one: no matrix of it is large, what it passes through is."""
    builder = Builder((4,), rng)
    return builder.finish(builder.gemm(builder.relu(builder.gemm(builder.gemm("x", 60), 5)), 2))


@pytest.mark.parametrize(("most", "dense"), ((60 * 5, True), (60 * 5 - 1, False)))
def test_what_is_large_on_the_way_to_a_matrix_is_none(monkeypatch, most, dense):
    monkeypatch.setattr(glscert.verifier.bounds.dense, "MOST_ENTRIES", most)
    case = make_case("wide", 0, make=_wide_on_the_way)
    assert (dense_layers(case.graph, case.params) is not None) == dense
