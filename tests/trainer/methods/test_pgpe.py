"""PGPE: evotorch's estimate against analytic gradients, what its options do, and its state."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from glscert.trainer import resolve
from glscert.trainer.evaluation import Evaluation
from glscert.trainer.evolution import Evolution
from glscert.trainer.methods import METHODS, pgpe
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.objective import Objective
from glscert.trainer.population import Batch, Population
from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError
from glscert.verifier.graph import load_model

SIZE = 6
MATRIX = torch.diag(torch.arange(1.0, SIZE + 1)) + 0.3
LINEAR = torch.linspace(-2, 2, SIZE)
CENTRE = {"a": torch.tensor([[0.3, -0.2], [0.1, 0.5]]), "b": torch.tensor([-0.4, 0.2])}


def quadratic(stack, batch, pool):
    """1/2 p' A p + c' p of each member p = (a, b), times the batch."""
    p = torch.cat([stack["a"].flatten(1), stack["b"]], 1).double()
    losses = ((p @ MATRIX.double()) * p).sum(1) / 2 + p @ LINEAR.double()
    return batch * losses, torch.zeros_like(losses)


def slopes(params, shifts=None):
    """The quadratic's gradient at `params`, or its mean over the shifts: an `Evaluate` of the batch 1."""
    points = flat(params)[None]
    if shifts is not None:
        points = points + torch.cat([shifts["a"].flatten(1), shifts["b"]], 1)
    mean = (points @ MATRIX + LINEAR).mean(0)
    return Evaluation(0.0, None, {"a": mean[:4].reshape(2, 2), "b": mean[4:]})


def wrong_slopes(params, shifts=None):
    """Of another function, from which the losses differ by more than before."""
    return Evaluation(0.0, None, {"a": torch.full((2, 2), 3.0), "b": torch.tensor([-5.0, 1.0])})


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


@pytest.mark.parametrize(("control", "evaluate"), [("grad", slopes), ("rgs", slopes), ("grad", wrong_slopes)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_control_variate_leaves_the_mean_of_the_estimate(control, evaluate, symmetric):
    sigma, generations, population = 0.1, 200, 64
    ends = [
        flat(evolve(sigma=sigma, symmetric=symmetric, control=control).step(1.0, seed, 1.0, evaluate).params)
        for seed in range(generations)
    ]
    estimates = (flat(CENTRE) - torch.stack(ends)) / sigma**2
    error = estimates.std(0) / math.sqrt(generations) + 1e-4
    expected, linear = MATRIX @ flat(CENTRE) + LINEAR, flat(evaluate(CENTRE).gradient)
    if not symmetric:  # evotorch's baseline is the mean of the same losses
        expected = expected - (expected - linear) / population
    assert ((estimates.mean(0) - expected).abs() < 4 * error).all()


@pytest.mark.parametrize("control", ["grad", "rgs"])
def test_a_control_variate_takes_all_chance_out_of_a_quadratic_and_none_of_its_sigma(control):
    """f(+) - f(-) of a quadratic is linear in the noise; from f(+) + f(-) a linear function cancels."""
    plain = evolve(sigma_lr=1.0, sigma_max_change=10.0).step(1.0, 7, 1.0)
    found = evolve(sigma_lr=1.0, sigma_max_change=10.0, control=control).step(1.0, 7, 1.0, slopes)
    estimate = (flat(CENTRE) - flat(found.params)) / 0.1**2
    torch.testing.assert_close(estimate, MATRIX @ flat(CENTRE) + LINEAR, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(flat(plain.params), flat(found.params), atol=1e-4)
    torch.testing.assert_close(found.moments["pgpe/sigma"], plain.moments["pgpe/sigma"], rtol=1e-5, atol=1e-7)
    assert found.loss == plain.loss


def test_the_noise_of_the_control_variate_is_not_the_populations():
    seen = {}

    def recording(params, shifts=None):
        seen.update(shifts)
        return slopes(params, shifts)

    search = evolve(control="rgs", control_samples=4)
    search.step(1.0, 7, 0.0, recording)
    of_control = torch.cat([seen["a"].flatten(1), seen["b"]], 1)
    torch.testing.assert_close(of_control[:2], -of_control[2:])
    of_population = search.search.population.values - flat(CENTRE)
    assert torch.cdist(of_control, of_population).min() > 1e-3
    assert of_control.std().item() == pytest.approx(0.1, rel=0.6)


@pytest.fixture
def trained(shared):
    """DeepPoly's loss of the shipped CNN3-tiny on 32 images of MNIST, and its weights."""
    model = load_model(Path(__file__).parents[3] / "models" / "mnist-cnn3-tiny.onnx")
    images = load_dataset("mnist", "test", shared / "data")
    batch = Batch(torch.tensor(images.x[:32]), torch.tensor(images.y[:32]), 0.1)
    params = {name: torch.tensor(value) for name, value in model.params.items()}
    return Objective(model.graph, {}, "deeppoly", 10), params, batch


def test_a_control_variate_cuts_the_variance_tenfold_on_images(trained):
    """At trained weights, where the loss bends within sigma, the mean gradient does what that at a point cannot."""
    objective, params, batch = trained
    fitness = Population(objective, 32, 8, torch.device("cpu"))

    def variance(**control):
        search = Evolution(fitness, params, {}, members=8, **dict(pgpe.Options(population=8, **control)))
        with ThreadPoolExecutor(1) as pool:
            evaluate = Minibatch(objective, *batch[:3], 32, pool)
            found = []
            for seed in range(12):
                search.step(batch, seed, 0.0, evaluate)
                found.append(search.search.gradient)
        return torch.stack(found).var(0).sum().item()

    assert variance(control="rgs", control_samples=8) < variance() / 10


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
        ({"control": "pgd"}, "control = 'pgd' must be 'none', 'grad' or 'rgs'"),
        (
            {"control": "rgs", "ranking": "centered"},
            "ranking = centered keeps only their order",
        ),
        ({"control_samples": 3}, "control_samples = 3 must be a multiple of 2"),
    ],
)
def test_a_bad_option_is_a_sentence(options, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve({"method": "pgpe", "options": options})


def test_methods_step_by_gradient_or_by_search():
    assert all((method.gradient is None) != (method.search is None) for method in METHODS.values())
