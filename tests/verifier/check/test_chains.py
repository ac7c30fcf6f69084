"""Networks that are chains: what is carried in batches is what the general way gives, and holds for float32 runs."""

import numpy as np
import pytest

import float32_runs
from glscert.verifier.check import forms, regions
from glscert.verifier.check.chains import chain_of
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.questions import Matrix
from glscert.verifier.check.regions import Regions, bound_rows, make_regions
from onnx_models import make, node

BOXES = 20


def drawn(seed: int, arithmetic: str = "float32") -> tuple[Checker, np.ndarray, np.ndarray, np.random.Generator]:
    """A chain with what stands between its layers, and boxes of all widths."""
    rng = np.random.default_rng([seed, 21])
    sizes = [int(rng.integers(1, 6)), *(int(size) for size in rng.integers(1, 12, int(rng.integers(2, 5)))), 3]
    consts = {"mean": rng.normal(size=sizes[0])}
    nodes, before = [node("Sub", "x mean", "a0")], "a0"
    for place in range(len(sizes) - 1):
        consts[f"w{place}"] = 2 / np.sqrt(sizes[place]) * rng.normal(size=(sizes[place], sizes[place + 1]))
        consts[f"b{place}"] = 0.5 * rng.normal(size=sizes[place + 1])
        after = "y" if place == len(sizes) - 2 else f"z{place}"
        nodes += [node("MatMul", f"{before} w{place}", f"m{place}"), node("Add", f"m{place} b{place}", after)]
        before = f"r{place}"
        if after != "y":
            nodes.append(
                node("LeakyRelu", after, before, alpha=0.1) if rng.random() < 0.3 else node("Relu", after, before)
            )
    named = {name: value.astype(np.float32) for name, value in consts.items()}
    centre = rng.uniform(-1, 1, (BOXES, sizes[0]))
    radius = 10.0 ** rng.uniform(-4, 0.5, (BOXES, 1)) * rng.uniform(0, 1, centre.shape)
    lower, upper = (np.float32(end).astype(np.float64) for end in (centre - radius, centre + radius))
    return Checker(make(nodes, (1, sizes[0]), named), arithmetic), lower, upper, rng


def bounded(checker: Checker, lower: np.ndarray, upper: np.ndarray, rule: int, matrix: Matrix):
    found = make_regions(checker.network, checker.arithmetic, lower, upper, rule)
    bounds, form = bound_rows(found, [matrix], None, found.relaxation)
    return found, bounds, form


def rows_of(rng: np.random.Generator) -> Matrix:
    return Matrix(rng.normal(size=(4, 3)), None, rng.normal(size=4), np.zeros(4, np.int64))


def ends(found: Regions) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(found.boxes.lower[number], found.boxes.upper[number]) for number in sorted(found.boxes.lower)]


@pytest.mark.parametrize("arithmetic", ["float32", "real"])
@pytest.mark.parametrize("rule", [1, 2])
@pytest.mark.parametrize("seed", range(10))
def test_chains_are_bounded_as_other_networks_are(
    seed: int, rule: int, arithmetic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker, lower, upper, rng = drawn(seed, arithmetic)
    matrix = rows_of(rng)
    assert chain_of(checker.network) is not None
    monkeypatch.setattr(forms, "suits", lambda network: False)
    chained, bounds, form = bounded(checker, lower, upper, rule, matrix)
    monkeypatch.setattr(regions, "chain_of", lambda network: None)
    plain, expected, other = bounded(checker, lower, upper, rule, matrix)
    assert chained.carrier is not None and plain.carrier is None and form is not None and other is not None
    scale = 1e-7 if arithmetic == "float32" else 1e-12
    assert np.allclose(bounds, expected, rtol=scale, atol=scale) and np.allclose(form.rows, other.rows, atol=1e-6)
    for own, known in zip(ends(chained), ends(plain), strict=True):
        assert np.allclose(own, known, rtol=scale, atol=scale)


@pytest.mark.parametrize("seed", range(30))
def test_runs_stay_inside(seed: int) -> None:
    """Every tensor of float32 runs lies in its box, every row above its bound and its line, in batches of boxes."""
    checker, lower, upper, rng = drawn(seed)
    assert forms.suits(checker.network)
    matrix = rows_of(rng)
    found, bounds, form = bounded(checker, lower, upper, 2, matrix)
    assert form is not None and np.isfinite(bounds).all()
    for box in range(BOXES):
        share = rng.choice([0.0, 1.0, rng.random()], lower[box].shape)
        x = np.clip(np.float32(lower[box] + share * (upper[box] - lower[box])), lower[box], upper[box]).astype(
            np.float32
        )
        values = float32_runs.run(checker.network, x, rng)
        for number in found.boxes.lower:
            own = values[number].astype(np.float64)
            assert (found.boxes.lower[number][box] <= own).all() and (own <= found.boxes.upper[number][box]).all()
        value = matrix.outputs @ values[checker.network.output].astype(np.float64) + matrix.offset
        line = form.rows[box] @ x.astype(np.float64) + form.offset[box] - form.slack[box]
        size = 1e-13 * (1 + np.abs(value) + np.abs(form.rows[box]) @ np.abs(x) + np.abs(form.offset[box]))
        assert (bounds[box] <= value + size).all() and (line <= value + size).all()


@pytest.mark.parametrize("seed", range(10))
def test_forms_leave_no_more_open(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the Relus of the second layer, over whose lines all agree."""
    checker, lower, upper, rng = drawn(seed)
    step = checker.network.steps[checker.network.bends[min(1, len(checker.network.bends) - 1)]]
    found = []
    for suits in (forms.suits, lambda network: False):
        monkeypatch.setattr(forms, "suits", suits)
        boxes = bounded(checker, lower, upper, 2, rows_of(rng))[0].boxes
        found.append(step.curve.unstable(boxes.lower[step.input], boxes.upper[step.input]))
    assert (found[0] <= found[1]).all()


def test_what_is_no_chain_is_carried_in_general() -> None:
    """Two steps that compute between nonlinear ones, a tensor read twice, a step wider than is kept."""
    consts = {"V": np.eye(2, dtype=np.float32), "W": np.zeros((2, 2000), np.float32)}
    for nodes in (
        [node("MatMul", "x V", "a"), node("MatMul", "a V", "b"), node("Relu", "b", "y")],
        [node("Relu", "x", "a"), node("Add", "a x", "y")],
        [node("MatMul", "x W", "y")],
    ):
        used = {name: value for name, value in consts.items() if any(name in own.input for own in nodes)}
        assert chain_of(Checker(make(nodes, (1, 2), used)).network) is None
