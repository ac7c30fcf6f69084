"""A population's losses in one vmapped evaluation are those of its members one by one, however they are cut up."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import fast
from glscert.trainer.memory import peak_bytes
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.objective import Objective
from glscert.trainer.population import Batch, Population
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.errors import InputError

NET = build("digits", SOURCES["digits"])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def sample(members=5, images=11):
    generator = torch.Generator().manual_seed(0)
    centre = {name: value.double() * 2 for name, value in fast(NET, generator).items()}
    stack = {
        name: value + 0.05 * torch.randn(members, *value.shape, generator=generator, dtype=torch.float64)
        for name, value in centre.items()
    }
    x = torch.rand(images, 1, 8, 8, generator=generator, dtype=torch.float64)
    return stack, x, torch.arange(images) % 10


@pytest.mark.parametrize("eps", [0.0, 0.05])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_population_is_the_loop_over_its_members(relaxation, eps, pool):
    stack, x, y = sample()
    objective = Objective(NET.graph, {}, relaxation, 10, robust_weight=0.7)
    population = Population(objective, 4, 2, CPU, l1=1e-3, weights=NET.weights)
    losses, shares = population(stack, Batch(x, y, eps, reg_weight=0.5), pool)
    one = Minibatch(objective, x, y, eps, 11, pool, reg_weight=0.5, l1=1e-3, weights=NET.weights)
    for p in range(5):
        alone = one({name: value[p] for name, value in stack.items()})
        assert losses[p].item() == pytest.approx(alone.loss, rel=1e-9)
        assert shares[p].item() == pytest.approx(alone.certified)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_chunks_and_threads_do_not_change_the_result(relaxation, pool):
    stack, x, y = sample()
    batch = Batch(x, y, 0.05, reg_weight=0.5)
    whole = Population(Objective(NET.graph, {}, relaxation, 10), 11, 5, CPU)
    losses, shares = whole(stack, batch)
    for images, members in ((1, 1), (4, 2), (11, 3), (3, 5)):
        cut = replace(whole, images=images, members=members)
        found = cut(stack, batch)
        torch.testing.assert_close(found[0], losses, rtol=1e-10, atol=0)
        assert torch.equal(found[1], shares)
        threaded = cut(stack, batch, pool)
        assert torch.equal(threaded[0], found[0]) and torch.equal(threaded[1], found[1])


def test_memory_is_counted_as_it_is_taken_and_given_back():
    given = torch.ones(5000)

    def compute():
        first = given[:1000] * 0  # 4000 bytes; the slice is of what was there
        second = first + 1
        third = second.view(10, 100) * 2  # the view is free
        del first, second
        return third.sum() + torch.ones(500).sum()

    assert 12000 <= peak_bytes(compute) <= 12100
    assert peak_bytes(lambda: None) == 0


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_part_keeps_within_the_budget(relaxation):
    stack, x, y = sample(members=32, images=8)
    batch = Batch(x, y, 0.05, reg_weight=0.5)
    params = {name: value[0] for name, value in stack.items()}
    largest = Population(Objective(NET.graph, {}, relaxation, 10), 8, 32, CPU)

    def peak(part):
        group = {name: value[: part.members] for name, value in stack.items()}
        chunk = x[: part.images], y[: part.images]
        return peak_bytes(lambda: part._sums(group, chunk, batch))

    all_of_it = peak(largest) / 2**20
    assert largest.within(2 * all_of_it, params, batch) == largest
    for share in (0.5, 0.1):
        part = largest.within(share * all_of_it, params, batch)
        assert (part.images, part.members) < (8, 32)
        assert peak(part) <= share * all_of_it * 2**20
    with pytest.raises(InputError, match=r"too little: the bounds of one image take .* MiB. Give more"):
        largest.within(1e-3, params, batch)
