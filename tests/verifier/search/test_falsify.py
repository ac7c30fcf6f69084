"""Points are proposed from everywhere; only what onnxruntime confirms is a witness."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from clauses import clause
from glscert.verifier.graph.extended import extended
from glscert.verifier.network import load
from glscert.verifier.search.clauses import grouped
from glscert.verifier.search.falsify import Falsifier
from glscert.verifier.spec import Row
from glscert.verifier.spec.judge import unsafe
from onnx_models import make, node

BIG = {"restarts": 3, "steps": 30, "stop": lambda: False}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    rng = np.random.default_rng(3)
    consts = {f"w{i}": rng.normal(size=size).astype(np.float32) for i, size in enumerate(((6, 12), (12, 3)))}
    nodes = [node("MatMul", "x w0", "h"), node("Relu", "h", "r"), node("MatMul", "r w1", "y")]
    path = tmp_path_factory.mktemp("falsify") / "m.onnx"
    path.write_bytes(make(nodes, ("batch", 6), consts).SerializeToString())
    return load(path)


@pytest.fixture(scope="module")
def most(network):
    """The largest output 0 among random points of [-1, 1]."""
    points = np.random.default_rng(5).uniform(-1, 1, (4000, 6)).astype(np.float32)
    return float(network.runtime.logits(points)[:, 0].max())


def above(level, width=1.0):
    """Unsafe where output 0 is at least this."""
    return clause([-width] * 6, [width] * 6, [([-1, 0, 0], level)])


def falsifier(network, clauses, owners=None, memory=1 << 28, inputs=()):
    groups = grouped(clauses, 3, None, memory, inputs)
    return Falsifier(network, groups, owners or list(range(len(groups))), memory=memory, seed=0), groups


def test_descents(network, most):
    asked = [above(most + 0.2), above(most + 1e6, 0.5), above(most - 0.5, 0.9)]
    search, _ = falsifier(network, asked)
    found = search.descend([(number, 0) for number in range(3)], **BIG)
    assert sorted(found) == [0, 2]
    for owner, witness in found.items():
        answer = network.runtime.logits(witness.x[None])[0]
        assert witness.x.dtype == np.float32 and np.array_equal(witness.y, answer)
        assert unsafe(asked[owner], witness.x, answer)


def test_as_many_clauses_at_once_as_memory_holds(network, most):
    """What follows the first part is asked where its owner has no witness and there is time."""
    asked = [clause([number / 100 - 1] * 6, [1.1] * 6, [([-1, 0, 0], most - 5)]) for number in range(30)]
    search, _ = falsifier(network, asked, [7] * 15 + [8] * 15, memory=4000)
    assert list(search.descend([(n, 0) for n in range(30)], **BIG)) == [7, 8]
    assert list(search.descend([(n, 0) for n in range(30)], **BIG | {"stop": lambda: True})) == [7]


def test_rows_of_a_clause_are_needed_together(network, most):
    """Output 0 is never large and small at the same time; the way to another clause of the box leads to a witness."""
    never = clause([-1] * 6, [1] * 6, [([-1, 0, 0], most - 1), ([1, 0, 0], 2 - most)])
    often = clause([-1] * 6, [1] * 6, [([-1, 0, 0], most - 1), ([0, 1, 0], -1000)])
    search, _ = falsifier(network, [never])
    assert search.descend([(0, 0), (0, None)], **BIG) == {}
    search, groups = falsifier(network, [never, often])
    assert len(groups) == 1
    for targets in ([(0, 1)], [(0, None)], [(0, 0), (0, 1)]):
        witness = search.descend(targets, **BIG)[0]
        assert unsafe(often, witness.x, witness.y) and not unsafe(never, witness.x, witness.y)


def test_what_is_proposed_is_moved_into_the_box(network, most):
    search, _ = falsifier(network, [above(most - 1)])
    best = search.descend([(0, 0)], **BIG)[0].x
    witness = search.replay(0, best * (1 + 1e-9) + 1e-9)
    assert witness is not None and (abs(witness.x) <= 1).all()
    assert search.replay(0, np.full(6, np.nan)) is None
    assert search.replay(0, np.full(6, 1e300)) is None
    assert search.doubt(0) is None


def test_relations_of_inputs_hold_of_witnesses(network, most):
    """x0 >= x1 + 1/2 as well."""
    relation = Row((), Fraction(1, 2), inputs=((0, Fraction(-1)), (1, Fraction(1))))
    asked = above(most - 2)
    asked = replace(asked, rows=(*asked.rows, relation))
    graph = extended(network.graph, (0, 1))
    longer = replace(network, graph=graph, engine=network.engine.extended(graph))
    search, _ = falsifier(longer, [asked], inputs=(0, 1))
    witness = search.descend([(0, 0)], **BIG)[0]
    assert witness.x[0] >= witness.x[1] + 0.5


def test_nothing_to_be_fed(network):
    """An input that is to be infinite."""
    nowhere = clause([-1] * 5 + [1e39], [1] * 5 + [1e39], [([1, 0, 0], 0)])
    search, groups = falsifier(network, [nowhere])
    assert not groups[0].attackable
    assert search.replay(0, np.zeros(6)) is None
    assert search.descend([(0, 0)], **BIG) == {}
