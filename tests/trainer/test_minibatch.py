"""A batch in chunks is the batch; the number of threads changes nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from glscert.trainer import resolve
from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import fast
from glscert.trainer.losses import robust_cross_entropy
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.objective import LossParts, Objective
from glscert.verifier.bounds import RELAXATIONS, linf_box, margin_spec
from glscert.verifier.ops import evaluate

NET = build("digits", SOURCES["digits"])


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)
    params = {name: value.double() * 2 for name, value in fast(NET, generator).items()}
    x = torch.rand(21, 1, 8, 8, generator=generator, dtype=torch.float64)
    return params, x, torch.arange(21) % 10


def at(parts, pool, *, chunk, relaxation="deeppoly", eps=0.05, robust_weight=1.0, **weights):
    params, x, y = parts
    objective = Objective(NET.graph, {}, relaxation, 10, robust_weight)
    return Minibatch(objective, x, y, eps, chunk, pool, weights=NET.weights, **weights)(params)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("eps", [0.0, 1e-9, 0.05])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_chunks_give_the_loss_and_gradient_of_the_whole(parts, pool, relaxation, eps):
    terms = {"relaxation": relaxation, "eps": eps, "reg_weight": 0.5, "l1": 1e-3, "robust_weight": 0.7}
    whole = at(parts, pool, chunk=21, **terms)
    for chunk in (1, 8):
        split = at(parts, pool, chunk=chunk, **terms)
        assert split.loss == pytest.approx(whole.loss, rel=1e-9)
        assert split.certified == whole.certified
        for name in NET.parameters:
            torch.testing.assert_close(split.gradient[name], whole.gradient[name], rtol=1e-9, atol=1e-12)
    assert whole.loss != pytest.approx(at(parts, pool, chunk=21, **(terms | {"reg_weight": 0.0})).loss, abs=1e-6)


@pytest.mark.parametrize("kept", [0, 1000])
@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_shifted_weights_give_the_mean_of_each(parts, pool, relaxation, members, kept):
    params, x, y = parts
    objective = Objective(NET.graph, {}, relaxation, 10, 0.7)
    generator = torch.Generator().manual_seed(1)
    shifts = {
        name: 0.05 * torch.randn(members, *p.shape, generator=generator, dtype=p.dtype) for name, p in params.items()
    }
    batch = Minibatch(objective, x, y, 0.05, 8, pool, 0.5, 1e-3, NET.weights, kept=kept)
    together = batch(params, shifts)
    alone = [batch({name: p + shifts[name][k] for name, p in params.items()}) for k in range(members)]
    assert together.loss == pytest.approx(sum(found.loss for found in alone) / members, rel=1e-9)
    assert together.certified == pytest.approx(sum(found.certified for found in alone) / members, rel=1e-12)
    for name in NET.parameters:
        mean = sum(found.gradient[name] for found in alone) / members
        torch.testing.assert_close(together.gradient[name], mean, rtol=1e-8, atol=1e-11)


def test_the_loss_is_the_mean_robust_cross_entropy(parts, pool):
    params, x, y = parts
    bounds = RELAXATIONS["deeppoly"](NET.graph, params, linf_box(x, 0.05, 0, 1), margin_spec(y, 10, x.dtype))
    expected = robust_cross_entropy(bounds.lower) / 21
    found = at(parts, pool, chunk=8)
    assert found.loss == pytest.approx(expected.item(), rel=1e-9)
    assert found.certified == (bounds.lower > 0).all(1).double().mean().item()


def test_no_perturbation_and_no_robust_weight_are_both_the_plain_cross_entropy(parts, pool):
    params, x, y = parts
    expected = torch.nn.functional.cross_entropy(evaluate(NET.graph, params, x), y).item()
    assert at(parts, pool, chunk=8, eps=0.0).loss == pytest.approx(expected, rel=1e-9)
    assert at(parts, pool, chunk=8, robust_weight=0.0).loss == pytest.approx(expected, rel=1e-9)


def test_threads_change_no_bit(parts, pool):
    one = at(parts, pool, chunk=4, reg_weight=0.5)
    with ThreadPoolExecutor(3) as several:
        three = at(parts, several, chunk=4, reg_weight=0.5)
    assert one.loss == three.loss
    assert all(torch.equal(one.gradient[name], three.gradient[name]) for name in NET.parameters)


def product(objective, params, images):
    """A loss that does not add up over images: the product of two means."""
    bounds = objective.bounds(params, images.x, images.y, images.eps)
    natural = torch.nn.functional.cross_entropy(objective.scores(params, images.x), images.y, reduction="sum")
    terms = torch.stack([robust_cross_entropy(bounds.lower), natural])
    return LossParts(terms, None, objective.box(images.x, images.eps), bounds, torch.prod)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("reg_weight", [0.0, 0.5])
def test_chunks_of_a_method_s_own_loss_are_the_whole(parts, pool, relaxation, reg_weight):
    terms = {"relaxation": relaxation, "loss": product, "stream": lambda first: None, "reg_weight": reg_weight}
    whole = at(parts, pool, chunk=21, robust_weight=0.7, **terms)
    split = at(parts, pool, chunk=8, robust_weight=0.7, **terms)
    assert split.loss == pytest.approx(whole.loss, rel=1e-9) and split.certified is None
    for name in NET.parameters:
        torch.testing.assert_close(split.gradient[name], whole.gradient[name], rtol=1e-9, atol=1e-12)
    alone = [at(parts, pool, chunk=8, robust_weight=w, **(terms | {"reg_weight": 0.0})).loss for w in (0, 1, 0.7)]
    robust = at(parts, pool, chunk=8, relaxation=relaxation).loss
    assert alone[1] == pytest.approx(robust * alone[0], rel=1e-9)
    assert alone[2] == pytest.approx(0.7 * alone[1] + 0.3 * alone[0], rel=1e-9)


def test_a_chunk_s_generator_is_that_of_its_first_image(parts, pool):
    seen = []

    def listen(objective, params, images):
        seen.append((images.generator, len(images.x), images.annealing))
        return objective.robust_loss(params, images.x, images.y, images.eps)

    at(parts, pool, chunk=8, loss=listen, stream=lambda first: first, annealing=True)
    assert seen == [(0, 8, True), (8, 8, True), (16, 5, True)]


def test_input_boxes_of_the_regulariser_are_normalised(pool):
    net = build("cnn3-tiny", SOURCES["cifar10"])
    constants = {name: torch.from_numpy(value) for name, value in net.constants.items()}
    objective = Objective(net.graph, constants, "ibp", 10)
    params = fast(net, torch.Generator().manual_seed(0))
    x, y = torch.full((2, 3, 32, 32), 0.5), torch.tensor([0, 1])
    sums = objective.statistics(params, x, y, 0.1)
    radius = (0.1 / constants["std"]).mean().item()
    assert (sums[0, 1] / sums[0, 0]).item() == pytest.approx(radius, rel=1e-5)
    assert resolve({"dataset": "cifar10"}).augment
