"""The smoothed loss is the expectation over the noise: on functions whose expectation is known, within its error."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from glscert.trainer.landscape import gradient_direction, original, smoothed
from glscert.trainer.objective import Objective
from glscert.trainer.population import Batch
from glscert.trainer.toy import TOYS, PiecewiseLinear, through
from glscert.verifier.bounds import RELAXATIONS, Box, Spec
from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.graph import Graph, Node

DISTANCES = [i / 10 - 2 for i in range(41)]
NEURON = Graph(
    "x",
    "y",
    (
        Node("Gemm", "first", ("x",), "pre", ("one", "w"), {}),
        Node("Relu", "relu", ("pre",), "post", (), {}),
        Node("Gemm", "last", ("post",), "y", ("one", "one_bias"), {}),
    ),
    {"x": (1,), "pre": (1,), "post": (1,), "y": (1,)},
)


def weight(w=0.0):
    return {"w": torch.tensor([w], dtype=torch.float64)}


def losses(toy):
    return lambda stack: toy(stack["w"][:, 0])


def spread_of_pairs(toy, w, sigma):
    """Standard deviation of (f(w + e) + f(w - e)) / 2 and its largest distance from the mean, |e| < 5 sigma."""
    noise = torch.linspace(-5, 5, 20_001, dtype=torch.float64)
    density = torch.exp(-(noise**2) / 2)
    density /= density.sum()
    means = (toy(w + sigma * noise) + toy(w - sigma * noise)) / 2
    away = means - (means * density).sum()
    return float((away.square() * density).sum().sqrt()), float(away.abs().max())


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("toy", TOYS)
def test_the_estimate_of_a_toy_is_its_closed_form_within_the_error(toy, sigma):
    pairs, squares = 2000, []
    (curve,) = smoothed(losses(TOYS[toy]), weight(), weight(1.0), DISTANCES, sigma, [2 * pairs], seed=1)
    for t, found, said in zip(DISTANCES, curve.loss, curve.error, strict=True):
        deviation, most = spread_of_pairs(TOYS[toy], t, sigma)
        error = deviation / pairs**0.5
        exact = float(TOYS[toy].smoothed(torch.tensor(t, dtype=torch.float64), sigma))
        assert abs(found - exact) < 4 * error + 16 / 3 * most / pairs + 1e-6  # Bernstein, L = 8
        if 1e-6 < deviation > most / 8:  # else hardly a draw reaches a kink, and one more or less decides
            assert said == pytest.approx(error, rel=0.2)
            squares.append(((found - exact) / error) ** 2)
    assert len(squares) > 5 and 0.1 < sum(squares) / len(squares) < 2.5  # neither far nor closer than chance


def test_the_closed_form_is_the_integral():
    toy = PiecewiseLinear(0.3, -0.5, hinges=((-1.0, 2.0), (0.5, -1.0)), jumps=((0.2, 1.5),))
    noise = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    density = torch.exp(-(noise**2) / 2)
    for w in (-1.3, 0.0, 0.4):
        exact = (toy(w + 0.7 * noise) * density).sum() / density.sum()
        assert float(toy.smoothed(torch.tensor(w, dtype=torch.float64), 0.7)) == pytest.approx(float(exact), abs=1e-4)


def minima(values, places):
    lower = (values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])
    return places[1:-1][lower].tolist()


def test_smoothing_does_to_the_second_toy_what_the_paper_shows():
    toy, places = TOYS["sensitive"], torch.linspace(-3, 3, 1201, dtype=torch.float64)
    bad, best = minima(toy(places), places)
    assert -1.5 < bad < 0 < best and toy(torch.tensor(best)) < toy(torch.tensor(bad))
    assert len(minima(toy.smoothed(places, 0.25), places)) == 2  # too little leaves the bad minimum
    (some,), (much,) = (minima(toy.smoothed(places, sigma), places) for sigma in (0.5, 1.0))
    assert abs(some - best) < 0.4 < 0.9 < abs(much - best)


def test_the_first_toy_is_what_deeppoly_says_of_one_neuron():
    places = torch.linspace(-2.5, 2.5, 40, dtype=torch.float64)  # not 0, where the bound jumps
    box = Box(torch.full((1, 1), -1.0, dtype=torch.float64), torch.full((1, 1), 1.0, dtype=torch.float64))
    one = torch.ones(1, 1, dtype=torch.float64)
    spec = Spec(one[None], torch.zeros(1, 1, dtype=torch.float64))
    for w in places:
        params = {"one": one, "w": w[None], "one_bias": one[0]}
        bound = RELAXATIONS["deeppoly"](NEURON, params, box, spec).lower
        assert bound.item() == pytest.approx(TOYS["discontinuous"](w).item(), abs=1e-12)


def test_through_goes_through():
    points = ((-1.0, 2.0), (0.0, 0.5), (2.0, 0.5), (3.0, -1.0))
    toy = through(*points)
    for w, value in points:
        assert float(toy(torch.tensor(w))) == pytest.approx(value, abs=1e-6)
    assert float(toy(torch.tensor(-2.0))) == pytest.approx(3.5)
    assert float(toy(torch.tensor(4.0))) == pytest.approx(-2.5)


def test_the_original_is_the_loss_itself():
    curve = original(losses(TOYS["sensitive"]), weight(0.5), weight(2.0), [-0.5, 0.0, 0.25])
    expected = TOYS["sensitive"](torch.tensor([-0.5, 0.5, 1.0], dtype=torch.float64))
    assert torch.allclose(torch.tensor(curve.loss, dtype=torch.float64), expected)
    assert (curve.sigma, curve.population, curve.error) == (0.0, 1, (0.0, 0.0, 0.0))


def test_a_smaller_population_is_the_first_part_of_a_larger_one():
    toy = losses(TOYS["sensitive"])
    both = smoothed(toy, weight(), weight(1.0), DISTANCES[:3], 0.5, [4, 150], seed=7)
    (alone,) = smoothed(toy, weight(), weight(1.0), DISTANCES[:3], 0.5, [150], seed=7)
    other = smoothed(toy, weight(), weight(1.0), DISTANCES[:3], 0.5, [4], seed=8)
    assert both[1] == alone and both[0].population == 4 != both[1].population
    assert other[0] != both[0]


@pytest.mark.parametrize("population", [0, 2, 5])
def test_a_population_without_pairs(population):
    with pytest.raises(InputError, match="even number from 4 up"):
        smoothed(losses(TOYS["sensitive"]), weight(), weight(1.0), [0.0], 0.5, [8, population], seed=0)


def linear_objective():
    shapes = {"x": (4,), "y": (3,)}
    graph = Graph("x", "y", (Node("Gemm", "gemm", ("x",), "y", ("w", "b"), {}),), shapes)
    generator = torch.Generator().manual_seed(0)
    params = {"w": torch.randn(3, 4, generator=generator), "b": torch.randn(3, generator=generator)}
    batch = Batch(torch.rand(10, 4, generator=generator), torch.randint(3, (10,), generator=generator), 0.05)
    return Objective(graph, {}, "deeppoly", 3), params, batch


def test_the_direction_is_uphill_and_of_length_one():
    objective, params, batch = linear_objective()
    with ThreadPoolExecutor(1) as pool:
        direction = gradient_direction(objective, params, batch, chunk=4, pool=pool)
    assert sum(float(d.square().sum()) for d in direction.values()) == pytest.approx(1, abs=1e-5)

    def loss(t):
        moved = {name: p + t * direction[name] for name, p in params.items()}
        return float(objective.robust_loss(moved, batch.x, batch.y, batch.eps).terms.sum())

    assert loss(-0.01) < loss(0.0) < loss(0.01)


def test_without_a_gradient_there_is_no_direction():
    objective, params, batch = linear_objective()
    params = {name: torch.full_like(p, torch.nan) for name, p in params.items()}
    with ThreadPoolExecutor(1) as pool, pytest.raises(GlscertError, match="no direction"):
        gradient_direction(objective, params, batch, chunk=4, pool=pool)
