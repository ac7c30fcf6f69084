"""Time limits are kept in the middle of a step too, and what was reached by then is told."""

import time

import numpy as np
import pytest

from clauses import clause
from engine_cases import engine_case
from glscert.verifier import Verdict, deadline, load, robustness, verify
from glscert.verifier.engine.plain_rows import PlainRows
from glscert.verifier.engine.threads import set_threads, threads
from glscert.verifier.run.line import answers
from glscert.verifier.run.question import Question
from glscert.verifier.search.clauses import grouped
from glscert.verifier.search.search import Search
from glscert.verifier.settings import Effort
from glscert.verifier.spec import Query
from jobs import draw_job
from onnx_models import make, node

SIZES = (30, 40, 40, 3)  # too many inputs and neurons to be decided while a test waits


@pytest.fixture
def path(tmp_path):
    rng, nodes, consts, value = np.random.default_rng(1), [], {}, "x"
    for i, (n, m) in enumerate(zip(SIZES, SIZES[1:], strict=False)):
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        nodes.append(node("MatMul", f"{value} w{i}", "y" if i == len(SIZES) - 2 else f"h{i}"))
        if i < len(SIZES) - 2:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    (tmp_path / "m.onnx").write_bytes(make(nodes, ("batch", SIZES[0]), consts).SerializeToString())
    return tmp_path / "m.onnx"


def hard(network):
    """Somewhat more than any random point reaches: no attack finds it, no bound excludes it soon."""
    points = np.random.default_rng(2).uniform(-1, 1, (4000, SIZES[0])).astype(np.float32)
    most = float(network.runtime.logits(points)[:, 0].max())
    return Query(SIZES[0], 3, (clause([-1] * SIZES[0], [1] * SIZES[0], [([-1, 0, 0], 4 * most)]),))


def cut_after(monkeypatch, rounds):
    """The search's time is over in the middle of the round after these."""
    done, whole = [], Search.run_round

    def run_round(search):
        if len(done) == rounds:
            raise deadline.OutOfTime
        done.append(whole(search))

    monkeypatch.setattr(Search, "run_round", run_round)


def test_a_limit_within_a_limit():
    assert deadline.left() == float("inf") and not deadline.over()
    deadline.check()
    with deadline.within(100), deadline.within(1000):
        assert 99 < deadline.left() < 101
        with deadline.within(-1):
            assert deadline.over() and deadline.left() == 0
            with pytest.raises(deadline.OutOfTime):
                deadline.check()
        deadline.check()
    assert deadline.left() == float("inf")


@pytest.mark.parametrize("count", (1, 2))
@pytest.mark.parametrize("steps", (0, 5))
@pytest.mark.parametrize("plain", (False, True))
def test_a_program_for_rows_ends_with_the_time(count, steps, plain):
    case = engine_case("conv_chain", 3)
    if not plain and not case.engine.compiled:
        pytest.skip("no C compiler")
    program = PlainRows(case.engine) if plain else case.engine.program
    job, before = draw_job(case.engine, case.rng, own=True).job, threads()
    set_threads(count)
    try:
        assert np.isfinite(program.bounds(job, steps=steps).bound).all()
        with deadline.within(-1), pytest.raises(deadline.OutOfTime):
            program.bounds(job, steps=steps)
    finally:
        set_threads(before)


def test_what_was_reached_is_told_within_a_second_of_the_limit(path):
    network = load(path)
    query = hard(network)
    verify(network, query, timeout=0.1)  # whatever is imported or compiled at first use
    began = time.perf_counter()
    found = verify(network, query, timeout=1.0)
    took = time.perf_counter() - began
    assert found.verdict is Verdict.TIMEOUT
    assert 1.0 <= found.seconds <= took < 2.0
    assert found.seconds == pytest.approx(took, abs=0.2)
    assert found.visited > 0 and found.margin is not None and found.margin < 0
    assert found.reason.startswith(f"timeout after 1 s, {found.visited} subdomains bounded, the lowest open bound is -")


def test_a_round_cut_short_loses_no_other_round(path, monkeypatch):
    cut_after(monkeypatch, 3)
    network = load(path)
    found = verify(network, hard(network), timeout=50.0)
    assert (found.verdict, found.seconds < 50) == (Verdict.TIMEOUT, True)
    assert found.visited > 0 and found.margin is not None


@pytest.mark.parametrize("order", (1, -1))
def test_one_query_out_of_time_leaves_the_others_theirs(path, order):
    network, effort = load(path), Effort(50.0)
    ends = [-1] * SIZES[0], [1] * SIZES[0]
    easy = Query(SIZES[0], 3, (clause(*ends, [([1, 0, 0], 1e4)]),))
    asked = [
        Question(key, grouped(query.clauses, 3, None, effort.memory), seconds)
        for key, query, seconds in ((0, hard(network), 0.0), (1, easy, 50.0))
    ]
    found = {question.key: answer.verdict for question, answer in answers(network, asked[::order], effort)}
    assert found == {0: Verdict.TIMEOUT, 1: Verdict.VERIFIED}
    assert deadline.left() == float("inf")


@pytest.mark.parametrize("rounds", (0, 2))
def test_inputs_whose_round_is_cut_short_are_out_of_time(path, monkeypatch, rounds):
    cut_after(monkeypatch, rounds)
    network = load(path)
    x = np.random.default_rng(3).uniform(0, 1, (20, SIZES[0])).astype(np.float32)
    y = network.runtime.logits(x).argmax(1)
    began = time.perf_counter()
    found = robustness(network, x, y, 0.12, timeout=50.0)
    took = time.perf_counter() - began
    cut = [answer for answer in found if answer.verdict is Verdict.TIMEOUT]
    assert cut and all(answer.reason.startswith("timeout after 50 s") for answer in cut)
    assert all(answer.margin is not None and answer.margin < 0 for answer in cut)
    assert sum(answer.seconds for answer in found) == pytest.approx(took, abs=0.3)


def test_every_input_has_its_share_and_no_more(path):
    network, limit, count = load(path), 0.02, 60
    x = np.random.default_rng(4).uniform(0, 1, (count, SIZES[0])).astype(np.float32)
    y = network.runtime.logits(x).argmax(1)
    began = time.perf_counter()
    found = robustness(network, x, y, 0.15, timeout=limit)
    assert time.perf_counter() - began < count * limit + 1
    late = [answer for answer in found if answer.reason.startswith("timeout after 0.02 s")]
    assert late and all(answer.seconds >= limit for answer in late)
