"""PGPE: evotorch's estimate against analytic gradients, what its options do, and its state."""

import math

import pytest
import torch

from glscert.trainer import resolve
from glscert.trainer.evolution import Evolution
from glscert.trainer.methods import METHODS, pgpe
from glscert.verifier.errors import InputError

SIZE = 6
MATRIX = torch.diag(torch.arange(1.0, SIZE + 1)) + 0.3
LINEAR = torch.linspace(-2, 2, SIZE)
CENTRE = {"a": torch.tensor([[0.3, -0.2], [0.1, 0.5]]), "b": torch.tensor([-0.4, 0.2])}


def quadratic(stack, batch, pool):
    """1/2 p' A p + c' p of each member p = (a, b), times the batch."""
    p = torch.cat([stack["a"].flatten(1), stack["b"]], 1).double()
    losses = ((p @ MATRIX.double()) * p).sum(1) / 2 + p @ LINEAR.double()
    return batch * losses, torch.zeros_like(losses)


def flat(params):
    return torch.cat([params["a"].flatten(), params["b"]])


def evolve(moments=None, params=CENTRE, **changes):
    options = pgpe.Options(**{"population": 64, "optimiser": "sgd", "sigma": 0.1, **changes})
    return Evolution(quadratic, params, moments or {}, members=8, **dict(options))


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_step_is_the_analytic_gradient_within_its_standard_error(symmetric):
    """Of a quadratic smoothed with sigma the gradient is that of the quadratic itself: A p + c."""
    sigma, generations = 0.1, 200
    ends = [flat(evolve(sigma=sigma, symmetric=symmetric).step(1.0, seed, 1.0).params) for seed in range(generations)]
    # by plain descent with lr 1 a step is the estimate; evotorch leaves 1 / sigma^2 to the learning rate
    estimates = (flat(CENTRE) - torch.stack(ends)) / sigma**2
    error = estimates.std(0) / math.sqrt(generations)
    expected = MATRIX @ flat(CENTRE) + LINEAR
    assert ((estimates.mean(0) - expected).abs() < 4 * error).all()
    assert (error < 0.1 * expected.abs().max()).all()


def test_sigma_follows_the_curvature_within_its_standard_error():
    """d/dsigma_i of the smoothed quadratic is sigma_i A_ii; evotorch's estimate is sigma^2 times that, descended."""
    sigma, generations, rate = 0.1, 300, 1e-3
    changes = []
    for seed in range(generations):
        update = evolve(sigma=sigma, sigma_lr=rate, sigma_max_change=10.0).step(1.0, seed, 0.0)
        changes.append((sigma - update.moments["pgpe/sigma"]) / rate)
    changes = torch.stack(changes) / sigma**2
    error = changes.std(0) / math.sqrt(generations)
    pairs = 32
    expected = sigma * MATRIX.diagonal() * (pairs - 1) / pairs  # the baseline b is the mean of the same losses
    assert ((changes.mean(0) - expected).abs() < 4 * error).all()
    assert (changes.mean(0) > 0).all()


def test_loss_is_the_mean_of_the_population_before_the_step():
    update = evolve(population=2000).step(1.0, 3, 0.1)
    p = flat(CENTRE)
    smoothed = p @ MATRIX @ p / 2 + LINEAR @ p + 0.1**2 * MATRIX.trace() / 2
    assert update.loss == pytest.approx(smoothed.item(), abs=0.02)
    assert math.isfinite(update.norm) and update.norm > 0


@pytest.mark.parametrize(
    ("ranking", "optimiser"),
    [
        *((ranking, "adam") for ranking in ("raw", "centered", "linear", "nes", "normalized")),
        ("raw", "clipup"),
        ("raw", "sgd"),
    ],
)
def test_every_ranking_and_optimiser_descends(ranking, optimiser):
    search = evolve(ranking=ranking, optimiser=optimiser)
    rate = 10.0 if optimiser == "sgd" else 0.05  # the estimate is sigma^2 times the gradient
    losses = [search.step(1.0, seed, rate).loss for seed in range(40)]
    assert sum(losses[-5:]) / 5 < losses[0] - 0.5


@pytest.mark.parametrize("optimiser", ["adam", "clipup", "sgd"])
def test_state_in_tensors_continues_bit_for_bit(optimiser):
    whole = evolve(optimiser=optimiser, sigma_lr=0.1)
    for seed in range(3):
        middle = whole.step(1.0, seed, 0.01)
    resumed = evolve(middle.moments, middle.params, optimiser=optimiser, sigma_lr=0.1)
    for seed in range(3, 6):
        expected, found = whole.step(1.0, seed, 0.02), resumed.step(1.0, seed, 0.02)
        assert found.loss == expected.loss
        for mine, theirs in ((found.params, expected.params), (found.moments, expected.moments)):
            assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert not torch.equal(middle.moments["pgpe/sigma"], found.moments["pgpe/sigma"])


def test_the_seed_of_a_step_decides():
    first, again, other = (flat(evolve().step(1.0, seed, 0.1).params) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_sigma_changes_by_its_largest_share_at_most():
    update = evolve(sigma_lr=1e6, sigma_max_change=0.2).step(1.0, 0, 0.1)
    ratio = update.moments["pgpe/sigma"] / 0.1
    assert ratio.min() == pytest.approx(0.8) and ratio.max() == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dataset": "mnist"}, (150, 512, 3e-4, 0.4, 0.0)),
        ({"dataset": "mnist", "eps": 0.3}, (150, 512, 3e-4, 0.4, 1 / 3)),
        ({"dataset": "cifar10"}, (150, 128, 3e-4, 0.4, 0.0)),
        ({"dataset": "cifar10", "eps": 8 / 255}, (150, 128, 3e-4, 0.4, 1 / 3)),
        ({"dataset": "mnist", "epochs": 3, "lr": 0.1}, (3, 512, 0.1, 0.4, 0.0)),
    ],
)
def test_defaults_are_the_papers(given, expected):
    config = resolve({"method": "pgpe", **given})
    assert (config.epochs, config.batch, config.lr, config.lr_decay, config.anneal_end) == expected
    assert config.milestones == (110 / 150, 130 / 150) and config.fast_reg == 0
    assert config.options["population"] == 256 and config.options["sigma"] == 1e-3
    assert config.options["ranking"] == "raw"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"population": 7}, "population = 7 must be even"),
        ({"ranking": "best"}, "ranking = 'best' must be 'raw', 'centered'"),
        ({"optimiser": "lion"}, "optimiser = 'lion' must be 'adam'"),
        ({"sigma": 0.0}, "sigma = 0.0 must be greater"),
    ],
)
def test_a_bad_option_is_a_sentence(options, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve({"method": "pgpe", "options": options})


def test_methods_step_by_gradient_or_by_search():
    assert all((method.gradient is None) != (method.search is None) for method in METHODS.values())
