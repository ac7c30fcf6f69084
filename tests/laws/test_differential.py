"""Random networks of all operators, asked what is just not true: no way of closing a region may prove it.

A point as low as descents or a mixed-integer program lead is planted: the property is broken there by a part of the
row's own size, 2e-5 or less. The attack is off, so that it cannot answer before the bounds do. With it on, what is true
by as much may not be answered `sat`.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from closings import WAYS, Way, only
from exact import least
from glscert.verifier import Clause, Network, Query, Row, Verdict, load, robustness, verify
from glscert.verifier.graph.translate import TRANSLATIONS
from glscert.verifier.region import Norm
from glscert.verifier.search.attack import disjunction
from operator_draws import CURVED
from random_models import random_model, with_shift
from reference import dense
from truth import Project, lowest, outputs_at, within

SLACKS = (2e-5, 2e-5, 1e-7, 1e-9)  # of the row's size
SECONDS = 0.05  # of what bounds answer at once
DENSE = {
    "Add",
    "Gemm",
    "LeakyRelu",
    "MatMul",
    "Relu",
    "Sigmoid",
    "Tanh",
}  # that are fast, for what takes several rounds
NEAREST = np.array([-1])  # of clauses, whichever is nearest
FREE = 4  # inputs that may move: the truth is cheap


class Asked(NamedTuple):
    """A network and a box of inputs [n] float64."""

    proto: onnx.ModelProto
    path: Path
    network: Network
    lower: np.ndarray
    upper: np.ndarray
    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.graph.input_shape

    def query(self, factors: np.ndarray, offsets: list[Fraction]) -> Query:
        """Whether all rows can be 0 or less together, for factors [M, K]."""
        rows = zip(factors.tolist(), offsets, strict=True)
        spelled = tuple(Row(tuple((k, Fraction(c)) for k, c in enumerate(own)), offset) for own, offset in rows)
        ends = self.lower, self.upper
        return Query(len(self.lower), factors.shape[1], (Clause(*ends, ends, spelled),))


def drawn(seed: int, folder: Path, outputs: int, operators: set[str]) -> Asked:
    rng, path = np.random.default_rng([seed, 10]), folder / "network.onnx"
    while True:
        proto = random_model(rng, operators, outputs)
        path.write_bytes(proto.SerializeToString())
        network = load(path)
        count = int(np.prod(network.graph.input_shape))
        centre = rng.uniform(-1, 1, count).astype(np.float32).astype(np.float64)
        if np.abs(network.runtime.logits(centre.reshape(1, *network.graph.input_shape))).max() < 1e3:
            break
    radius = rng.choice([0.05, 0.3, 1.0]) * rng.uniform(0.2, 1, count)
    radius[rng.permutation(count)[FREE:]] = 0.0
    return Asked(proto, path, network, centre - radius, centre + radius, rng)


def breaking(asked: Asked, factors: np.ndarray, offsets: np.ndarray, point: np.ndarray) -> list[Fraction]:
    """Offsets lowered together until every row breaks at the point, by some slack at least."""
    y, error = outputs_at(asked.proto, asked.network, point)
    values, sizes = factors @ y + offsets, np.abs(factors) @ np.abs(y) + np.abs(offsets)
    slack = max(asked.rng.choice(SLACKS) * sizes.max(), 4 * error * np.abs(factors).sum(1).max())
    shift = Fraction(float(values.max())) + Fraction(float(slack))
    return [Fraction(offset) - shift for offset in offsets.tolist()]


def rows_for(asked: Asked, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors [M, K] and offsets [M]."""
    given = asked.rng.normal(size=(count, asked.network.graph.output_shape[0] + 1))
    return given[:, 1:], given[:, 0]


def property_broken_at_a_point(asked: Asked, way: Way) -> None:
    factors, offsets = rows_for(asked, int(asked.rng.integers(1, 3)))
    anywhere: Project = lambda points: points  # noqa: E731
    largest = disjunction(factors[None, None], offsets[None, None], NEAREST)
    point = lowest(asked.network, asked.lower, asked.upper, largest, asked.rng, anywhere)
    query = asked.query(factors, breaking(asked, factors, offsets, point))
    with only(way):
        answer = verify(load(asked.path), query, timeout=way.seconds)
    assert answer.verdict is not Verdict.VERIFIED, answer.reason


def label_broken_at_a_point(asked: Asked, way: Way) -> None:
    """The label's score is lowered until a point of the ball breaks it by a little."""
    norm = list(Norm)[int(asked.rng.integers(3))]
    centre, radius = (asked.lower + asked.upper) / 2, (asked.upper - asked.lower) / 2
    x = centre.astype(np.float32)
    label = int(asked.network.runtime.logits(x.reshape(1, *asked.shape))[0].argmax())
    others = [k for k in range(asked.network.graph.output_shape[0]) if k != label]
    ball = within(x.astype(np.float64), radius, norm)
    eye = np.eye(len(others) + 1)
    lead = disjunction((eye[label] - eye[others])[None, :, None], np.zeros((1, len(others), 1)), NEAREST)
    point = lowest(asked.network, asked.lower, asked.upper, lead, asked.rng, ball)
    y, error = outputs_at(asked.proto, asked.network, point)
    slack = max(asked.rng.choice(SLACKS) * np.abs(y).max(), 8 * error)
    shift = np.zeros(len(y))
    shift[label] = y[others].max() - y[label] - slack
    asked.path.write_bytes(with_shift(asked.proto, shift).SerializeToString())
    with only(way):
        given = x.reshape(1, *asked.shape), np.array([label]), radius.reshape(asked.shape)
        (answer,) = robustness(load(asked.path), *given, low=-np.inf, high=np.inf, timeout=way.seconds, norm=norm)
    assert answer.verdict is not Verdict.VERIFIED, answer.reason


def property_beside_the_exact_minimum(asked: Asked, way: Way) -> None:
    """Of a network of linear pieces: broken there by a little, and true by a little."""
    factors, offsets = rows_for(asked, 1)
    ends = (end.reshape(asked.shape) for end in (asked.lower, asked.upper))
    level, point = least(dense(asked.network.graph, asked.network.engine.params), *ends, factors[0], offsets[0])
    point = np.clip(point.ravel(), asked.lower, asked.upper)
    broken = asked.query(factors, breaking(asked, factors, offsets, point))
    with only(way):
        answer = verify(load(asked.path), broken, timeout=way.seconds)
    assert answer.verdict is not Verdict.VERIFIED, answer.reason
    y, error = outputs_at(asked.proto, asked.network, point)
    size = np.abs(factors) @ np.abs(y) + np.abs(offsets)
    assert abs((factors @ y + offsets)[0] - level) < 1e-5 * size, "the program's optimum is not there"
    safe = asked.query(factors, [Fraction(float(offsets[0] - level + 2e-5 * size[0]))])
    assert verify(asked.network, safe, timeout=SECONDS).verdict is not Verdict.FALSIFIED


def numbers_of_the_file(asked: Asked, way: Way) -> None:
    """A single input: what the file says of it is neither above nor below itself."""
    point = asked.lower.astype(np.float32).astype(np.float64)
    here = asked._replace(lower=point, upper=point)
    y, error = outputs_at(asked.proto, asked.network, point)
    factors, _ = rows_for(asked, 1)
    value, size = float(factors[0] @ y), float(np.abs(factors[0]) @ np.abs(y))
    slack = max(1e-9 * size, 1e-12, 4 * error * np.abs(factors).sum())
    for sign in (1, -1):
        query = here.query(sign * factors, [Fraction(-sign * value) - Fraction(slack)])
        with only(way):
            answer = verify(load(asked.path), query, timeout=SECONDS)
        assert answer.verdict is not Verdict.VERIFIED, answer.reason


KINDS = (property_broken_at_a_point, label_broken_at_a_point, property_beside_the_exact_minimum, numbers_of_the_file)


def test_no_way_of_closing_proves_what_is_false(tmp_path: Path, graph_seed: int, every_way: bool) -> None:
    kind, way = KINDS[graph_seed % 4], list(WAYS.values())[graph_seed // 4 % len(WAYS)]
    way = replace(way, seconds=3 * way.seconds) if every_way else way
    operators = DENSE if way.refined else set(TRANSLATIONS)
    if kind is property_beside_the_exact_minimum:
        operators = operators - set(CURVED)
    kind(drawn(graph_seed, tmp_path, 2 + graph_seed % 2, operators), way)


def test_every_operator_is_drawn() -> None:
    missing = set(TRANSLATIONS)
    for seed in range(1000):
        proto = random_model(np.random.default_rng(seed), set(TRANSLATIONS), 2)
        missing -= {node.op_type for node in proto.graph.node}
        if not missing:
            break
    assert not missing
