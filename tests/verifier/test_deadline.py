"""Time limits are kept in the middle of a step too, and what was reached by then is told."""

import time
from math import prod

import numpy as np
import pytest
import torch

from cases import make_case
from clauses import clause
from glscert.verifier import deadline
from glscert.verifier.bounds.interval import nonlinearities
from glscert.verifier.bounds.rows import rows_of
from glscert.verifier.bounds.substitution import input_anchor, relax
from glscert.verifier.decide import Answer, decide, decide_many
from glscert.verifier.network import load
from glscert.verifier.ops import compiled
from glscert.verifier.outcome import Verdict
from glscert.verifier.robustness import Settings, Verifier
from glscert.verifier.search.search import Search
from glscert.verifier.settings import Effort
from glscert.verifier.spec import Query
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


@pytest.mark.skipif(compiled._compiler() is None, reason="no C compiler")
@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("steps", (0, 5))
def test_the_compiled_program_ends_with_the_time(threads, steps):
    case = make_case("conv_chain", 3, batch=1)
    base = input_anchor(case.graph, case.params, case.box)
    name = next(iter(nonlinearities(case.graph)))
    program, count = rows_of(case.graph, case.params, case.graph.input), prod(case.graph.shapes[name])
    every, one = torch.arange(count), torch.ones(count)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        bounds = program.climbed(name, every, one, relax(case.graph, {}), base, {}, steps=steps)[0]
        assert torch.isfinite(bounds).all()
        with deadline.within(-1), pytest.raises(deadline.OutOfTime):
            program.climbed(name, every, one, relax(case.graph, {}), base, {}, steps=steps)
    finally:
        torch.set_num_threads(before)


def test_what_was_reached_is_told_within_a_second_of_the_limit(path):
    network = load(path)
    query = hard(network)
    decide(network, query, Effort(timeout=0.1))  # whatever is imported or compiled at first use
    began = time.perf_counter()
    found = decide(network, query, Effort(timeout=1.0))
    took = time.perf_counter() - began
    assert found.verdict is Answer.TIMEOUT
    assert 1.0 <= found.seconds <= took < 2.0
    assert found.seconds == pytest.approx(took, abs=0.2)
    assert found.visited > 0 and found.bound is not None and found.bound < 0
    assert found.reason.startswith(f"timeout after 1 s, {found.visited} subdomains bounded, the lowest open bound is -")


def test_a_round_cut_short_loses_no_other_round(path, monkeypatch):
    cut_after(monkeypatch, 3)
    network = load(path)
    found = decide(network, hard(network), Effort(timeout=50.0))
    assert (found.verdict, found.seconds < 50) == (Answer.TIMEOUT, True)
    assert found.visited > 0 and found.bound is not None


def test_one_query_out_of_time_leaves_the_others_theirs(path):
    network = load(path)
    ends = [-1] * SIZES[0], [1] * SIZES[0]
    easy = Query(SIZES[0], 3, (clause(*ends, [([1, 0, 0], 1e4)]),))
    for order in (0, 1):
        queries, timeouts = [hard(network), easy], [0.0, 50.0]
        if order:
            queries, timeouts = queries[::-1], timeouts[::-1]
        found = dict(decide_many(network, queries, Effort(50.0), timeouts=timeouts))
        assert [found[place].verdict for place in (order, 1 - order)] == [Answer.TIMEOUT, Answer.UNSAT]
    assert deadline.left() == float("inf")


@pytest.mark.parametrize("rounds", (0, 2))
def test_inputs_whose_round_is_cut_short_are_unknown(path, monkeypatch, rounds):
    cut_after(monkeypatch, rounds)
    verifier = Verifier(path)
    x = np.random.default_rng(3).uniform(0, 1, (20, SIZES[0])).astype(np.float32)
    y = verifier.network.runtime.logits(x).argmax(1)
    began = time.perf_counter()
    found = verifier.verify(x, y, Settings(0.12, timeout=50.0))
    took = time.perf_counter() - began
    cut = [outcome for outcome in found if outcome.verdict is Verdict.UNKNOWN]
    assert cut and {outcome.reason for outcome in cut} == {"timeout after 50 s"}
    assert all(outcome.margin is not None and outcome.margin < 0 for outcome in cut)
    assert sum(outcome.seconds for outcome in found) == pytest.approx(took, abs=0.3)


def test_every_input_has_its_share_and_no_more(path):
    verifier, limit, count = Verifier(path), 0.02, 60
    x = np.random.default_rng(4).uniform(0, 1, (count, SIZES[0])).astype(np.float32)
    y = verifier.network.runtime.logits(x).argmax(1)
    began = time.perf_counter()
    found = verifier.verify(x, y, Settings(0.15, timeout=limit))
    assert time.perf_counter() - began < count * limit + 1
    late = [outcome for outcome in found if outcome.reason == "timeout after 0.02 s"]
    assert late and all(outcome.seconds >= limit for outcome in late)
