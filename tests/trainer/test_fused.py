"""The fused program's losses and gradients are torch's."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from glscert.trainer.architectures import SOURCES, Architecture, build
from glscert.trainer.fused import RELAXATIONS, program, recognised
from glscert.trainer.initialisation import fast
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.objective import Objective
from glscert.trainer.population import Batch, Population
from glscert.verifier.graph import Graph
from glscert.verifier.ops import compiled
from random_graphs import Builder

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not compiled.enabled(), reason="there is no C compiler")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def drawn(seed: int) -> tuple[Architecture, dict[str, torch.Tensor]]:
    """A random chain and its weights: convolutions of odd shapes, and products, or only these."""
    draw = random.Random(seed)
    flat = draw.random() < 0.2
    shape = (draw.randint(3, 9),) if flat else (draw.randint(1, 3), draw.randint(4, 9), draw.randint(4, 9))
    builder = Builder(shape, np.random.default_rng(seed))
    value, shift = "x", draw.random() < 0.4
    if shift:
        value = builder._node("Sub", [value], shape, [np.full([1] * len(shape), 0.4)])
    for _ in range(draw.randint(1, 4)):
        _, *extent = builder.shapes[value]
        if extent and draw.random() < 0.8:
            pads = [draw.randint(0, 2) for _ in range(4)]
            kernel = [draw.randint(1, min(4, extent[d] + pads[d] + pads[d + 2])) for d in (0, 1)]
            strides = (draw.randint(1, 3), draw.randint(1, 3))
            value = builder.conv(value, draw.randint(1, 5), kernel, strides, pads, bias=draw.random() < 0.8)
        else:
            value = builder.gemm(_flat(builder, value), draw.randint(1, 20), draw.random() < 0.8)
        value = builder.relu(value)
    value = builder.gemm(_flat(builder, value), draw.randint(2, 5))
    graph = Graph("x", value, tuple(builder.nodes), builder.shapes)
    arrays = {name: array.astype(np.float32) for name, array in builder.params.items()}
    constants = {"Sub_0.0": arrays.pop("Sub_0.0")} if shift else {}
    net = Architecture(graph, {name: array.shape for name, array in arrays.items()}, constants)
    return net, {name: torch.from_numpy(array) for name, array in arrays.items()}


def _flat(builder: Builder, value: str) -> str:
    size = int(np.prod(builder.shapes[value]))
    return value if builder.shapes[value] == (size,) else builder._node("Flatten", [value], (size,))


def pair(net: Architecture, relaxation: str, robust_weight: float = 1.0) -> tuple[Objective, Objective]:
    """The objective by the fused program, and by torch."""
    constants = {name: torch.from_numpy(value) for name, value in net.constants.items()}
    (classes,) = net.graph.output_shape
    plain = Objective(net.graph, constants, relaxation, classes, robust_weight)
    network = recognised(net.graph, net.parameters, net.constants)
    assert network is not None and program(network, relaxation) is not None
    return replace(plain, network=network), plain


def weights(net: Architecture, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    params = fast(net, generator)
    for name, value in params.items():
        if name.endswith("bias"):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return params


def images(net: Architecture, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    (classes,) = net.graph.output_shape
    x = torch.rand(count, *net.graph.input_shape, generator=generator)
    return x, torch.randint(0, classes, (count,), generator=generator)


def check_equal(
    net: Architecture, params, relaxation: str, pool, *, count: int = 37, eps: float = 0.05, **terms
) -> None:
    """Both evaluations of a mini-batch agree: torch's in float64, where rounding does not cloud the comparison."""
    fused, plain = pair(net, relaxation, terms.pop("robust_weight", 1.0))
    x, y = images(net, count)
    ours = Minibatch(fused, x, y, eps, 24, pool, weights=net.weights, **terms)(params)
    exact = replace(plain, constants={name: value.double() for name, value in plain.constants.items()})
    doubles = {name: value.double() for name, value in params.items()}
    theirs = Minibatch(exact, x.double(), y, eps, 24, pool, weights=net.weights, **terms)(doubles)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)
    assert ours.certified == pytest.approx(theirs.certified, abs=1e-9)
    largest = max(float(value.abs().max()) for value in theirs.gradient.values())
    for name in params:
        torch.testing.assert_close(ours.gradient[name].double(), theirs.gradient[name], rtol=0, atol=1e-5 * largest)


@needs_compiler
@pytest.mark.parametrize("terms", [{}, {"reg_weight": 0.5, "kept": 1 << 30}], ids=["plain", "regularised"])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("net", ["digits", "mlp", "cnn3-tiny"])
def test_known_networks(net, relaxation, terms, pool):
    source = SOURCES["digits" if net == "digits" else "mnist"]
    built = build(net, source)
    check_equal(built, weights(built, 1), relaxation, pool, **terms)


@needs_compiler
@pytest.mark.parametrize("seed", range(8))
def test_random_chains(seed, pool):
    net, params = drawn(seed)
    for relaxation in RELAXATIONS:
        check_equal(net, params, relaxation, pool, count=21)
        check_equal(net, params, relaxation, pool, count=21, reg_weight=0.5, l1=1e-3, robust_weight=0.7)


@needs_compiler
@pytest.mark.parametrize("reg_weight", [0.0, 0.5])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_members_have_the_losses_of_each_alone(relaxation, reg_weight, pool):
    net = build("digits", SOURCES["digits"])
    fused, plain = pair(net, relaxation, 0.7)
    params, (x, y) = weights(net, 1), images(net, 21)
    draw = torch.Generator().manual_seed(2)
    shifts = {name: 0.02 * torch.randn(3, *value.shape, generator=draw) for name, value in params.items()}
    stack = {name: value + shifts[name] for name, value in params.items()}
    for eps in (0.0, 0.05):
        batch = Batch(x, y, eps, reg_weight)
        ours, theirs = (
            Population(objective, 16, 2, CPU, 1e-3, net.weights)(stack, batch, pool) for objective in (fused, plain)
        )
        torch.testing.assert_close(ours[0], theirs[0], rtol=3e-6, atol=0)
        torch.testing.assert_close(ours[1], theirs[1])
        smoothed, expected = (
            Minibatch(objective, x, y, eps, 16, pool, reg_weight, weights=net.weights, kept=1 << 30)(params, shifts)
            for objective in (fused, plain)
        )
        assert smoothed.loss == pytest.approx(expected.loss, rel=3e-6)
        for name in params:
            largest = float(expected.gradient[name].abs().max())
            torch.testing.assert_close(smoothed.gradient[name], expected.gradient[name], rtol=0, atol=3e-5 * largest)


def test_what_the_program_does_not_know_is_left_to_torch(monkeypatch):
    net = build("digits", SOURCES["digits"])
    network = recognised(net.graph, net.parameters, net.constants)
    objective = Objective(net.graph, {}, "alpha-crown", 10, network=network)
    assert objective.fused_program() is None and objective.fused_program("hbox") is None
    monkeypatch.setattr(compiled, "_enabled", False)
    assert objective.fused_program("ibp") is None
    builder = Builder((2, 6, 6), np.random.default_rng(0))
    grouped = builder.relu(builder.conv("x", 4, (2, 2), group=2))
    rest = builder.gemm(_flat(builder, grouped), 3)
    sigmoid = builder.gemm(builder.unary("Sigmoid", builder.gemm(rest, 4)), 3)
    shapes = {name: array.shape for name, array in builder.params.items()}
    for output in (rest, sigmoid):
        assert recognised(Graph("x", output, tuple(builder.nodes), builder.shapes), shapes, ()) is None


@needs_compiler
def test_weights_in_float64_are_left_to_torch(pool):
    net = build("digits", SOURCES["digits"])
    fused, plain = pair(net, "ibp")
    params, (x, y) = {name: value.double() for name, value in weights(net, 1).items()}, images(net, 5)
    found = [objective.robust_loss(params, x.double(), y, 0.1).terms for objective in (fused, plain)]
    assert torch.equal(*found)


@needs_compiler
@pytest.mark.parametrize("entry", [float("nan"), float("inf")])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_weight_that_is_no_number_leaves_no_loss(relaxation, entry, pool):
    net = build("digits", SOURCES["digits"])
    params, (x, y) = weights(net, 1), images(net, 20)
    params[net.weights[0]][3, 0, 1, 1] = entry
    found = Minibatch(pair(net, relaxation)[0], x, y, 0.05, 24, pool)(params)
    assert np.isnan(found.loss) and found.certified == 0


@needs_compiler
def test_boxes_whose_width_has_no_square_in_float32(pool):
    net = build("digits", SOURCES["digits"])
    check_equal(net, {name: 1e10 * value for name, value in weights(net, 1).items()}, "crown-ibp", pool)


@needs_compiler
def test_large_networks_are_left_to_torch():
    """Before anything is compiled or memory taken: a call holds vectors of images for every weight and neuron."""
    sizes = {(64, 64): ("ibp", "deeppoly"), (512, 512): ("deeppoly",), (2000, 2000): ()}
    for hidden, relaxations in sizes.items():
        net = build("mlp", SOURCES["digits"], hidden)
        objective = Objective(net.graph, {}, "ibp", 10, network=recognised(net.graph, net.parameters, ()))
        assert [name for name in ("ibp", "deeppoly") if objective.fused_program(name)] == list(relaxations)


@pytest.mark.parametrize("classes, known", [(1000, True), (1001, False)])
def test_more_classes_than_a_stack_holds_are_left_to_torch(classes, known):
    builder = Builder((3,), np.random.default_rng(0))
    output = builder.gemm(builder.relu(builder.gemm("x", 2)), classes)
    shapes = {name: array.shape for name, array in builder.params.items()}
    assert (recognised(Graph("x", output, tuple(builder.nodes), builder.shapes), shapes, ()) is not None) is known


def test_the_output_is_the_last_value():
    builder = Builder((3,), np.random.default_rng(0))
    output = builder.gemm(builder.relu(builder.gemm("x", 3)), 3)
    builder.gemm(builder.relu(output), 3)
    shapes = {name: array.shape for name, array in builder.params.items()}
    assert recognised(Graph("x", output, tuple(builder.nodes), builder.shapes), shapes, ()) is None
