"""The compiled program for rows against back-substitution in numpy: any graph, any rows, any dual."""

import numpy as np
import pytest

from engine_cases import engine_case, preactivations
from glscert.verifier.engine.job import Job, Lining
from glscert.verifier.engine.plain_rows import PlainRows
from glscert.verifier.engine.substitution import relax
from glscert.verifier.functions import Box
from random_graphs import GRAPHS

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
CLOSE = {np.float64: {"rtol": 1e-11, "atol": 1e-11}, np.float32: {"rtol": 1e-4, "atol": 1e-4}}


@pytest.fixture(params=WITH_RELU)
def drawn(request):
    """A network with boxes, and those of its nonlinearities' inputs."""
    case = engine_case(request.param, 90, batch=3, radius=0.5)
    if not case.engine.compiled:
        pytest.skip(case.engine.why)
    return case, preactivations(case.engine, case.anchor)


def of_dtype(value, dtype):
    """A job's parts in another dtype, but for numbers of entries and boxes."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype) if value.dtype == np.float64 else value
    if isinstance(value, Lining):
        return Lining(*(of_dtype(part, dtype) for part in value))
    return type(value)(of_dtype(part, dtype) for part in value) if isinstance(value, tuple | list) else value


def agreed(engine, job, dtype=np.float64, **ascent):
    """What both find, held equal."""
    engine, job = (engine if dtype is np.float64 else engine.single), Job(*(of_dtype(part, dtype) for part in job))
    found, expected = engine.program.bounds(job, **ascent), PlainRows(engine).bounds(job, **ascent)
    pairs = [(found.bound, expected.bound)]
    pairs += zip(found.met, expected.met, strict=True) if job.look else []
    pairs += zip((*found.low, *found.extra), (*expected.low, *expected.extra), strict=True)
    for one, other in ((found.weights, expected.weights), (found.flipped, expected.flipped)):
        assert (one is None) == (other is None)
        pairs += [] if one is None else [(one, other)]
    for one, other in pairs:
        assert one.dtype == other.dtype == dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, **CLOSE[dtype])
    if job.look:  # corners may differ only where a coefficient is 0: both give the row the same value
        assert (abs(found.corner - expected.corner) > 1e-6).mean() < 0.2
    return expected


def shared(engine, pre, *, error=None):
    """Lines that all rows of a box share."""
    found = [None] * len(engine.bends)
    for name, lines in relax(engine, pre).items():
        parts = (None if part is None else part[:, 0] for part in lines)
        found[engine.bends[name].lines] = Lining(*parts, error=error)
    return found


@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_bounds_of_neurons(drawn, dtype):
    case, pre = drawn
    earlier = {}
    for name, box in pre.items():
        bend, rng = case.engine.bends[name], case.rng
        count = 3 * bend.size
        order = np.arange(3).repeat(bend.size)
        job = Job(
            bend.into, shared(case.engine, earlier), case.anchor.centre, case.anchor.radius, box=order,
            neurons=(np.tile(np.arange(bend.size), 3), rng.choice([-1.0, 1.0], count)),
            error=rng.random(box.lower.shape),
        )  # fmt: skip
        agreed(case.engine, job, dtype)
        earlier[name] = box


def own_lines(case, pre, rows, *, cut=0.3):
    """Lines and splits of every row's own; the multipliers of splits have their sides' signs."""
    found, rng = [None] * len(case.engine.bends), case.rng
    for name, box in pre.items():
        spelled = Box(*(np.repeat(end, rows, 0) for end in box))
        split = (rng.random(spelled.lower.shape) < cut) & (spelled.lower < 0) & (spelled.upper > 0)
        sign = split * rng.choice([-1.0, 1.0], split.shape)
        spelled = Box(np.where(sign > 0, 0, spelled.lower), np.where(sign < 0, 0, spelled.upper))
        lines = case.engine.bends[name].function.lines(spelled, rng.random(split.shape)[:, None])
        parts = (None if part is None else part[:, 0] for part in lines)
        extra = -sign * rng.random(split.shape)
        found[case.engine.bends[name].lines] = Lining(*parts, own_low=True, own_up=True, extra=extra, sign=sign)
    return found


def of_rows(case, pre, terms, **options):
    """Specification rows, each of them by itself or as many as there are summed."""
    rows, offset = case.spec
    count = rows.shape[1] // terms
    given = rows.reshape(-1, terms, rows.shape[2]), offset.reshape(-1, terms)
    weights = np.ones_like(given[1]) if terms == 1 else case.rng.dirichlet(np.ones(terms), len(given[1]))
    ends = (end.repeat(count, 0) for end in (case.anchor.centre, case.anchor.radius))
    linings = own_lines(case, pre, count)
    return Job(case.engine.output, linings, *ends, rows=(*given, weights), own_end=True, **options)


@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("terms", (1, 3))
def test_bounds_of_rows_and_how_they_come_about(drawn, terms, dtype):
    case, pre = drawn
    agreed(case.engine, of_rows(case, pre, terms, look=True), dtype)


@pytest.mark.parametrize("terms", (1, 3))
def test_ascents(drawn, terms):
    case, pre = drawn
    job = of_rows(case, pre, terms, look=True)
    job = job._replace(rows=(job.rows[0], job.rows[1] - 100, job.rows[2]))  # none becomes positive, which ends it
    before = [np.copy(lining.low) for lining in job.linings], np.copy(job.rows[2])
    start, best = PlainRows(case.engine).bounds(job), agreed(case.engine, job, steps=4)
    assert (best.bound >= start.bound).all() and (best.bound > start.bound).any()
    for lining, kept in zip(job.linings, before[0], strict=True):
        np.testing.assert_array_equal(lining.low, kept)
    np.testing.assert_array_equal(job.rows[2], before[1])
    linings = [
        lining._replace(low=low, extra=extra)
        for lining, low, extra in zip(job.linings, best.low, best.extra, strict=True)
    ]
    again = agreed(case.engine, job._replace(linings=linings, rows=(*job.rows[:2], best.weights)))
    np.testing.assert_allclose(again.bound, best.bound, rtol=1e-11, atol=1e-11)


def test_slopes_of_live_entries_alone(drawn):
    """All rows in one box, which share all lines but the lower slopes of some entries."""
    case, pre = drawn
    one = {name: Box(box.lower[:1], box.upper[:1]) for name, box in pre.items()}
    name = list(one)[-1]
    bend, rng, linings = case.engine.bends[name], case.rng, shared(case.engine, one)
    linings[bend.lines] = None
    for place, lining in enumerate(linings):
        if lining is not None:
            live = np.flatnonzero((lining.up_start[0] > 0) & (rng.random(lining.up.shape[1]) < 0.7))
            slope, error = rng.random((5, len(live))), rng.random(lining.up.shape)
            linings[place] = lining._replace(slope=slope, live=live, error=error)
    neurons = rng.integers(0, bend.size, 5), rng.choice([-1.0, 1.0], 5)
    ends = case.anchor.centre[:1], case.anchor.radius[:1]
    job = Job(bend.into, linings, *ends, neurons=neurons, error=rng.random((1, bend.size)) + 100)
    agreed(case.engine, job)
    agreed(case.engine, job, steps=3)


def test_one_more_split_of_each_row(drawn):
    case, pre = drawn
    job = of_rows(case, pre, 1)
    count, linings = job.size, np.array([bend.lines for bend in case.engine.bends.values()])
    flips = [[], [], []]
    for _ in range(4):
        which = case.rng.choice(linings, count)
        entry = [case.rng.integers(0, job.linings[number].up.shape[1]) for number in which]
        for part, drawn_part in zip(flips, (which, entry, case.rng.choice([-1.0, 1.0], count)), strict=True):
            part.append(drawn_part)
    agreed(case.engine, job._replace(flips=tuple(np.array(part) for part in flips)))
