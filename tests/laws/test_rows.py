"""The compiled program for rows against matrices, row by row: any graph, any rows, any lines."""

import numpy as np
import pytest

from glscert.verifier.engine import compiled
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.rows import RowsProgram
from glscert.verifier.functions import Box
from jobs import answer, draw_flips, draw_job
from random_graphs import CURVED, GRAPHS, Builder, arbitrary_convs

WITH_BENDS = [name for name in GRAPHS | CURVED if name != "affine_only"]
CLOSE = {np.float64: {"rtol": 1e-10, "atol": 1e-10}, np.float32: {"rtol": 2e-3, "atol": 2e-3}}

pytestmark = pytest.mark.skipif(not compiled.found(), reason="no C compiler")


def draw(name, seed, dtype=np.float64):
    rng = np.random.default_rng([seed, *name.encode()])
    graph, params = (GRAPHS | CURVED)[name](rng)
    engine = Engine(graph, params)
    engine = engine if dtype is np.float64 else engine.single
    assert engine.compiled and engine.why is None and isinstance(engine.program, RowsProgram)
    return engine, rng


def check(engine, drawn, dtype=np.float64):
    found, expected = engine.program.bounds(drawn.job), [answer(engine, drawn, row) for row in range(drawn.job.size)]
    assert found.bound.dtype == dtype
    np.testing.assert_allclose(found.bound, [each.bound for each in expected], **CLOSE[dtype])
    return found, expected


@pytest.mark.parametrize("errors", (False, True))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_bounds_of_neurons(name, dtype, errors):
    engine, rng = draw(name, 90, dtype)
    for _ in range(4):
        check(engine, draw_job(engine, rng, rows=37, errors=errors), dtype)


@pytest.mark.parametrize("seed", range(20))
def test_any_convolutions(seed):
    rng = np.random.default_rng(seed)
    engine = Engine(*arbitrary_convs(rng))
    check(engine, draw_job(engine, rng))
    check(engine, draw_job(engine, rng, terms=1))


@pytest.mark.parametrize("terms", (1, 3))
@pytest.mark.parametrize("name", WITH_BENDS)
def test_rows_with_lines_of_their_own_and_what_there_is_to_see(name, terms):
    engine, rng = draw(name, 91)
    drawn = draw_job(engine, rng, own=True, terms=terms, look=True)
    found, expected = check(engine, drawn)
    for value, bend in engine.bends.items():
        met = [each.met[value] for each in expected]
        np.testing.assert_allclose(found.met[bend.lines], met, **CLOSE[np.float64])
    coef = np.array([each.coef for each in expected])
    corner = drawn.job.centre - np.sign(coef) * drawn.job.radius
    np.testing.assert_array_equal(found.corner[abs(coef) > 1e-9], corner[abs(coef) > 1e-9])


@pytest.mark.parametrize("name", WITH_BENDS)
def test_every_split_by_itself(name):
    engine, rng = draw(name, 92)
    drawn = draw_job(engine, rng, own=True, terms=1)
    flips = draw_flips(engine, rng, drawn.job.size)
    found = engine.program.bounds(drawn.job._replace(flips=flips))
    np.testing.assert_array_equal(found.bound, engine.program.bounds(drawn.job).bound)
    for v, row in np.ndindex(found.flipped.shape):
        expected = answer(engine, drawn, row, tuple(part[v, row] for part in flips)).bound
        assert found.flipped[v, row] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", WITH_BENDS)
def test_slopes_of_the_live_entries_alone(name):
    engine, rng = draw(name, 94)
    drawn = draw_job(engine, rng, own=False, boxes=1)
    linings = []
    for lining in drawn.job.linings:
        live = np.flatnonzero(rng.random(lining.low.shape[1]) < 0.5)
        linings.append(lining._replace(slope=rng.uniform(0, 1, (drawn.job.size, len(live))), live=live))
    check(engine, drawn._replace(job=drawn.job._replace(linings=linings)))


def relu_job(engine, rng, rows, terms):
    """Sound lines over boxes by intervals, some neurons split to a side where they keep to it by multipliers."""
    drawn = draw_job(engine, rng, own=True, rows=rows, terms=terms)
    job, box = drawn.job, {0: Box(drawn.job.centre - drawn.job.radius, drawn.job.centre + drawn.job.radius)}
    linings = {}
    for step in engine.steps:
        if step in engine.bends.values():
            inner = box[step.into]
            low, _, up, up_start = (None if part is None else part[:, 0] for part in step.function.lines(inner, None))
            given = job.linings[step.lines]
            sign = np.where(step.function.unstable(inner), given.sign, 0.0)
            linings[step.lines] = given._replace(
                low=low, low_start=None, up=up, up_start=up_start, sign=sign, extra=-sign * abs(given.extra)
            )
            box[step.out] = step.function.interval(inner)
        else:
            middle = step.forward(*((box[n].lower + box[n].upper) / 2 for n in step.inputs))
            radius = step.spread(*((box[n].upper - box[n].lower) / 2 for n in step.inputs))
            box[step.out] = Box(middle - radius, middle + radius)
    return drawn._replace(job=job._replace(linings=[linings[k] for k in sorted(linings)]))


@pytest.mark.parametrize("terms", (1, 3))
@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "affine_only"])
def test_an_ascent_ends_at_the_bound_of_what_it_found(name, terms):
    engine, rng = draw(name, 93)
    drawn = relu_job(engine, rng, 19, terms)
    job, before = drawn.job, engine.program.bounds(drawn.job).bound
    found = engine.program.bounds(job, steps=8)
    assert (found.bound >= before).all() and (found.bound > before + 1e-6)[before < 0].any()
    moved, weights = [], found.weights
    for lining, low, extra in zip(job.linings, found.low, found.extra, strict=True):
        free = lining.up_start > 0
        assert ((low >= 0) & (low <= 1)).all() and np.array_equal(low[~free], lining.low[~free])
        assert (lining.sign * extra <= 0).all() and not extra[lining.sign == 0].any()
        moved.append(lining._replace(low=low, extra=extra))
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights > 0).all()
    again = drawn._replace(job=job._replace(linings=moved, rows=(*job.rows[:2], weights)))
    np.testing.assert_allclose(check(engine, again)[0].bound, found.bound, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["conv_chain", "residual", "gemm_only"])
def test_an_ascent_climbs_above_what_chance_finds(name):
    engine, rng = draw(name, 95)
    drawn = relu_job(engine, rng, 1, 1)
    job = drawn.job._replace(rows=(drawn.job.rows[0], drawn.job.rows[1] - 50, drawn.job.rows[2]))  # never proved
    climbed, best = engine.program.bounds(job, steps=200, decay=0.98).bound, -np.inf
    for _ in range(300):
        tried = []
        for lining in job.linings:
            slope = np.where(lining.up_start > 0, rng.choice([0.0, 1.0, rng.random()], lining.low.shape), lining.low)
            tried.append(lining._replace(low=slope, extra=lining.extra * rng.exponential(size=lining.extra.shape)))
        best = max(best, engine.program.bounds(job._replace(linings=tried)).bound[0])
    assert climbed[0] > best


def test_weights_changed_in_place_change_nothing():
    rng = np.random.default_rng(96)
    graph, params = GRAPHS["gemm_only"](rng)
    engine = Engine(graph, params)
    drawn = draw_job(engine, rng, own=True, terms=1)
    before = engine.program.bounds(drawn.job).bound
    single = engine.single.program.bounds(drawn.job).bound
    for value in params.values():
        value /= 2
    np.testing.assert_array_equal(engine.program.bounds(drawn.job).bound, before)
    np.testing.assert_array_equal(engine.single.program.bounds(drawn.job).bound, single)
    check(engine, drawn)
    halved = Engine(graph, params)  # and another engine has the new ones
    found, _ = check(halved, drawn._replace(network=draw_job(halved, rng).network))
    assert abs(found.bound - before).min() > 1e-3


def test_what_is_given_stays_as_it_is():
    """Also where the program's layout is that of the given arrays: one neuron, and a whole vector of rows."""
    rng = np.random.default_rng(97)
    builder = Builder((3,), rng)
    engine = Engine(*builder.finish(builder.gemm(builder.relu(builder.gemm("x", 1)), 2)))
    drawn = relu_job(engine, rng, 16, 1)
    kept = [[None if part is None else np.array(part) for part in lining] for lining in drawn.job.linings]
    weights = np.array(drawn.job.rows[2])
    assert engine.program.bounds(drawn.job, steps=5).bound.shape == (16,)
    for lining, before in zip(drawn.job.linings, kept, strict=True):
        for part, earlier in zip(lining, before, strict=True):
            assert part is None or np.array_equal(part, earlier)
    assert np.array_equal(drawn.job.rows[2], weights)


def test_what_is_beyond_the_program_says_why():
    large = Builder((3,), np.random.default_rng(0))
    large.params["unread"] = np.zeros(1 << 24, np.int8)
    engine = Engine(*large.finish(large.constant("Add", large.relu("x"), ())))
    assert not engine.compiled and engine.why == (
        "the network has 16,777,217 weights, and the compiled program takes up to 16,777,216"
    )
    wide = Builder((1 << 20,), np.random.default_rng(0))
    engine = Engine(*wide.finish(wide.constant("Add", wide.relu("x"), ())))
    assert not engine.compiled and "3,145,728 entries of values" in engine.why


def test_no_rows_are_refused():
    engine, rng = draw("gemm_only", 98)
    job = draw_job(engine, rng).job
    for given in (job._replace(neurons=None), job._replace(ball=object())):
        with pytest.raises(ValueError, match="rows over boxes"):
            engine.program.bounds(given)
