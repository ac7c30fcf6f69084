"""Queries decided together get the answers that each gets alone, each with a share of the time of its own."""

import numpy as np
import pytest

from clauses import clause
from glscert.verifier import Verdict, load, verify
from glscert.verifier.errors import InputError
from glscert.verifier.run.line import answers
from glscert.verifier.run.queries import answered
from glscert.verifier.run.question import Question
from glscert.verifier.search.clauses import grouped
from glscert.verifier.settings import Effort
from glscert.verifier.spec import Query
from onnx_models import make, node

INPUTS, OUTPUTS, TIMEOUT = 4, 3, 20


def network_of(path, seed, inputs=INPUTS, hidden=10):
    rng = np.random.default_rng(seed)
    consts = {
        "w": rng.normal(size=(inputs, hidden)).astype(np.float32),
        "b": rng.normal(size=hidden).astype(np.float32),
        "v": rng.normal(size=(hidden, OUTPUTS)).astype(np.float32),
    }
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "y")]
    path.write_bytes(make(nodes, ("batch", inputs), consts).SerializeToString())
    return load(path)


def queries_of(network, seed, inputs=INPUTS):
    """Of one to three boxes each, rows over one or two outputs that random points exceed by different amounts."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(8):
        clauses = []
        for _ in range(int(rng.integers(1, 4))):
            lower = np.float64(np.float32(rng.uniform(-1, 0, inputs)))
            upper = lower + 0.5
            y = np.float64(network.runtime.logits(np.float32(rng.uniform(lower, upper, (200, inputs)))))
            factors = np.float64(np.float32(rng.normal(size=(int(rng.integers(1, 3)), OUTPUTS))))
            least = (y @ factors.T).max(1).min()
            gap = rng.choice([-0.5, 1.0, 3.0, 8.0])
            clauses.append(clause(lower, upper, [(f, np.float64(np.float32(gap - least))) for f in factors]))
        found.append(Query(inputs, OUTPUTS, tuple(clauses)))
    return [*found, Query(inputs, OUTPUTS, ())]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("inputs", [INPUTS, 24])  # input splitting first, and neuron splitting alone
def test_together_as_one_by_one_in_any_order(tmp_path, seed, inputs):
    network = network_of(tmp_path / "net.onnx", seed, inputs)
    queries = queries_of(network, seed, inputs)
    alone = [verify(network, query, timeout=TIMEOUT).verdict for query in queries]
    assert Verdict.TIMEOUT not in alone
    for order in (range(len(queries)), np.random.default_rng(seed).permutation(len(queries))):
        places = [int(place) for place in order]
        found = list(answered(network, [queries[place] for place in places], Effort(TIMEOUT)))
        assert sorted(place for place, _ in found) == list(range(len(queries)))
        for place, answer in found:
            query = queries[places[place]]
            assert answer.verdict is alone[places[place]]
            assert (answer.witness is not None) == (answer.verdict is Verdict.FALSIFIED)
            if answer.witness is not None:
                x = np.float64(answer.witness.x)
                assert any(((each.lower <= x) & (x <= each.upper)).all() for each in query.clauses)


def test_one_that_is_refused_stops_no_other(tmp_path):
    network = network_of(tmp_path / "net.onnx", 0)
    easy = queries_of(network, 0)[0]
    found = dict(answered(network, [easy, Query(INPUTS + 1, OUTPUTS, ()), easy], Effort(TIMEOUT)))
    assert isinstance(found[1], InputError)
    assert found[0].verdict is found[2].verdict is verify(network, easy, timeout=TIMEOUT).verdict


def test_little_memory_parts_them(tmp_path):
    network = network_of(tmp_path / "net.onnx", 2)
    queries = 12 * queries_of(network, 2)
    found = dict(answered(network, queries, Effort(TIMEOUT, memory=2**20)))
    assert sorted(found) == list(range(len(queries)))
    for place, query in enumerate(queries[:9]):
        assert found[place].verdict is found[place + 99].verdict is verify(network, query, timeout=TIMEOUT).verdict


@pytest.mark.parametrize("inputs", [INPUTS, 24])
def test_a_hopeless_one_takes_no_time_of_the_others(tmp_path, inputs):
    """With a timeout of its own that is over at once, beside one that has enough."""
    network = network_of(tmp_path / "net.onnx", 1, inputs)
    queries = queries_of(network, 1, inputs)
    alone = [verify(network, query, timeout=TIMEOUT).verdict for query in queries]
    proved = [
        query for query, verdict in zip(queries, alone, strict=True) if verdict is Verdict.VERIFIED and query.clauses
    ]
    assert proved
    together = [
        Question(place, grouped(query.clauses, OUTPUTS, None, Effort.memory), 0.0 if place < len(proved) else 20.0)
        for place, query in enumerate([*proved, *proved])
    ]
    found = {question.key: answer for question, answer in answers(network, together, Effort())}
    for place in range(len(proved)):
        assert found[place].verdict in (Verdict.TIMEOUT, Verdict.VERIFIED)
        assert found[len(proved) + place].verdict is Verdict.VERIFIED
