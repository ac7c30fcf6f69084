"""Queries on their way to an answer: what is known of each so far, and which of them are worth deciding together."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from . import deadline
from .bounds.interval import nonlinear_inputs
from .decision import Answer, Decision, Witness
from .graph import Graph
from .search.clauses import Group

FEW_INPUTS = 20  # free ones, for input splitting
_DIRECTIONS = 16  # different rows that input splitting bounds for every box, whether it asks for them or not
_DOMAIN = 512  # numbers, of a clause's subdomain beside a slope and a multiplier for each neuron


@dataclass(eq=False)
class Pending:
    """A query, by its place among those asked. groups: its boxes and clauses. timeout: seconds that it may take.
    seconds: its share of the work so far. visited: subdomains bounded. bound: the lowest of those that are open."""

    place: int
    groups: Sequence[Group]
    timeout: float
    seconds: float = 0.0
    visited: int = 0
    bound: float = float("-inf")
    decided: bool = False

    @property
    def late(self) -> bool:
        return self.seconds > self.timeout

    @property
    def few_inputs(self) -> bool:
        """No box has many inputs that are free."""
        return all(int((group.proof.lower < group.proof.upper).sum()) <= FEW_INPUTS for group in self.groups)

    def reached(self) -> str:
        """Told where time ends the search."""
        known = [f"{self.visited} subdomains bounded"] if self.visited else []
        known += [f"the lowest open bound is {self.bound:.3g}"] if abs(self.bound) != float("inf") else []
        return "".join(f", {each}" for each in known)

    def end(self, verdict: Answer, reason: str, witness: Witness | None = None) -> Decision:
        self.decided = True
        open_still = verdict in (Answer.UNKNOWN, Answer.TIMEOUT) and abs(self.bound) != float("inf")
        bound = self.bound if open_still else None
        return Decision(verdict, reason, self.seconds, witness, self.visited, bound)


class Shares:
    """The time of work that several queries have a part in."""

    def __init__(self) -> None:
        self._billed = time.perf_counter()  # up to when time was shared out
        self._until = float("inf")  # when all that the work is for are out of time
        self._shares: Mapping[Pending, float] = {}  # of that work

    @staticmethod
    def _open(cases: Iterable[Pending]) -> list[Pending]:
        return [case for case in cases if not case.decided]

    def _begin(self, shares: Mapping[Pending, float]) -> None:
        """Work for these queries; it may stop when all of them are out of time."""
        self._shares, whole = shares, sum(shares.values())
        self._until = self._billed + max((case.timeout - case.seconds) * whole / own for case, own in shares.items())
        deadline.set_limit(self._until)

    def _stop(self) -> bool:
        return time.perf_counter() > self._until

    def _bill(self, shares: Mapping[Pending, float]) -> None:
        """Shares out the time since the last bill."""
        deadline.set_limit()
        now, whole = time.perf_counter(), sum(shares.values())
        for case, own in shares.items():
            case.seconds += (now - self._billed) * own / whole
        self._billed = now


def waves(queries: Sequence[Pending], graph: Graph, memory: int) -> Iterator[list[Pending]]:
    """The queries, a list of those that go together at a time: within `memory` bytes for what is kept of each, and, for
    input splitting, with few different rows."""
    if len(queries) < 2:
        yield list(queries)
        return
    alike: dict[frozenset[bytes], list[Pending]] = {}
    for query in queries:
        alike.setdefault(_directions(query), []).append(query)
    wave: list[Pending] = []
    rows, size = frozenset[bytes](), _Size(graph)
    for own, part in alike.items():
        for query in part:
            larger = size.with_(query)
            if wave and (len(rows | own) > max(_DIRECTIONS, len(rows), len(own)) or larger.bytes > memory):
                yield wave
                wave, rows, larger = [], frozenset(), _Size(graph).with_(query)
            wave.append(query)
            rows, size = rows | own, larger
    yield wave


def _directions(query: Pending) -> frozenset[bytes]:
    """The rows that input splitting would bound for every box."""
    if not query.few_inputs:
        return frozenset()
    return frozenset(row.numpy().tobytes() for group in query.groups for row in group.rows.flatten(0, 1).unique(dim=0))


@dataclass(frozen=True)
class _Size:
    """What queries together ask of memory: clauses are written out as `padded` does, a group keeps the boxes of its
    neurons, a clause a slope and a multiplier for each."""

    graph: Graph
    groups: int = 0
    problems: int = 0
    clauses: int = 0
    rows: int = 0

    def with_(self, query: Pending) -> "_Size":
        shapes = [group.rows.shape for group in query.groups]
        return _Size(
            self.graph,
            self.groups + len(shapes),
            self.problems + sum(shape[0] for shape in shapes),
            max([self.clauses, *(shape[0] for shape in shapes)]),
            max([self.rows, *(shape[1] for shape in shapes)]),
        )

    @property
    def bytes(self) -> int:
        graph = self.graph
        neurons = sum(prod(graph.shapes[name]) for name in nonlinear_inputs(graph).values())
        written = self.clauses * self.rows * (graph.output_shape[0] + 1)
        return 8 * (
            self.groups * (2 * prod(graph.input_shape) + 2 * neurons + written) + self.problems * (_DOMAIN + neurons)
        )
