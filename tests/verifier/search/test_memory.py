"""Every budget lets at least one input through, and a larger one never fewer; what is large is taken in parts."""

import numpy as np
import pytest

from clauses import clause
from engine_cases import engine_case
from glscert.cli.failures import describe
from glscert.verifier import Verdict, load, robustness, verify
from glscert.verifier.errors import UnsupportedError, memory_missing
from glscert.verifier.run import lines
from glscert.verifier.search.memory import inputs_at_once, inputs_per_pass, rows_at_once
from glscert.verifier.spec import Query
from onnx_models import make, node
from random_graphs import GRAPHS


@pytest.mark.parametrize("name", list(GRAPHS))
def test_positive_and_monotone(name):
    engine = engine_case(name).engine
    for count in (
        lambda budget: inputs_at_once(engine, budget),
        lambda budget: inputs_per_pass(engine, budget),
        lambda budget: rows_at_once(engine, 3, budget),
    ):
        counts = [count(budget) for budget in (0, 1, 10**3, 10**6, 10**9)]
        assert min(counts) == counts[0] == 1
        assert counts == sorted(counts)
        assert counts[-1] > 1


def wide(path, *, hidden, signs, inputs=1):
    """x -> relu(w x + b) -> their mean: as many neurons as nobody may square."""
    rng = np.random.default_rng(0)
    consts = {
        "w": np.float32(rng.uniform(-1 if signs else 0.5, 1, (inputs, hidden))),
        "b": np.float32(rng.uniform(-0.5, 0, hidden) if signs else np.zeros(hidden)),
        "v": np.full((hidden, 1), 1 / hidden, np.float32),
    }
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "y")]
    path.write_bytes(make(nodes, ("batch", inputs), consts).SerializeToString())
    return load(path)


@pytest.mark.parametrize("inputs", (1, 2, 24))
@pytest.mark.parametrize("signs", (False, True))
def test_many_neurons_within_the_memory_that_is_given(tmp_path, inputs, signs):
    network = wide(tmp_path / "m.onnx", hidden=60_000, signs=signs, inputs=inputs)
    for bound, answer in ((-10.0 * inputs, Verdict.VERIFIED), (-1e-3, Verdict.FALSIFIED)):
        query = Query(inputs, 1, (clause([0] * inputs, [1] * inputs, [([-1], -bound)]),))  # y >= -bound
        assert verify(network, query, timeout=60, memory=64 * 2**20).verdict is answer


def test_rows_beyond_the_memory_are_refused_by_name(tmp_path):
    network = wide(tmp_path / "m.onnx", hidden=10, signs=True)
    clauses = tuple(clause([0], [1], [([-1], number)]) for number in range(40_000))
    with pytest.raises(UnsupportedError, match="2 MiB of the 1 allowed. Give more with --memory"):
        verify(network, Query(1, 1, clauses), memory=2**20)


@pytest.mark.parametrize(
    ("error", "said"),
    (
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 28800000000 bytes."),
            "26.8 GiB",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), "2.00 GiB"),
        (MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"), "7.45 GiB"),
        (MemoryError(), "more memory than there is"),
    ),
)
def test_a_machine_without_the_memory_is_a_sentence_and_unknown(tmp_path, monkeypatch, error, said):
    assert said in memory_missing(error)
    assert describe(error)[1] == 4 and said in describe(error)[0]
    network = wide(tmp_path / "m.onnx", hidden=10, signs=True)

    def refused(*_, **__):
        raise error

    monkeypatch.setattr("glscert.verifier.run.interval.images", refused)
    found = verify(network, Query(1, 1, (clause([0], [1], [([-1], 0.5)]),)))
    assert found.verdict is Verdict.UNKNOWN and said in found.reason
    assert memory_missing(RuntimeError("shape mismatch")) is None


def test_many_classes_are_bounded_a_few_rows_at_a_time(tmp_path, monkeypatch):
    """The same outcomes whatever the memory: rows grow with the square of the classes."""
    rng, classes = np.random.default_rng(0), 200
    consts = {"w": np.float32(rng.normal(size=(8, 30))), "v": np.float32(rng.normal(size=(30, classes)))}
    nodes = [node("MatMul", "x w", "m"), node("Relu", "m", "r"), node("MatMul", "r v", "y")]
    (tmp_path / "m.onnx").write_bytes(make(nodes, ("batch", 8), consts).SerializeToString())
    network = load(tmp_path / "m.onnx")
    x = np.float32(rng.uniform(size=(12, 8)))
    y = network.runtime.logits(x).argmax(1)
    ample, scarce = (robustness(network, x, y, 0.02, memory=memory) for memory in (2**28, 2**20))
    assert [answer.verdict for answer in ample] == [answer.verdict for answer in scarce]
    seen, whole = [], lines.dual_bounds
    monkeypatch.setattr(lines, "dual_bounds", lambda *a: seen.append(a[1].rows.shape) or whole(*a))
    robustness(network, x, y, 0.02, memory=2**20)
    assert seen and all(inputs * rows * 5 * 8 * classes <= 2**20 for inputs, rows, _ in seen)
    assert len({rows for _, rows, _ in seen}) > 1
