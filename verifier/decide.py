"""The straight line from a query to its answer.

    attack -> bounds of every box -> attack -> few inputs: input splitting, else ReLU splitting (and the other after it)

`unsat` is said only when float64 bounds refute every clause on its whole box by more than rounding may move them
(`search.rounding`), `sat` only after onnxruntime, on the file itself, confirmed a point inside the exact box.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import torch

from .bounds import Box
from .bounds.interval import nonlinear_inputs
from .decision import Answer as Answer
from .decision import Decision as Decision
from .decision import Witness
from .errors import InputError
from .graph.shapes import NONLINEAR
from .network import Network
from .search.branch_and_bound import Limits, Search
from .search.clauses import Group, grouped
from .search.falsify import Falsifier
from .search.input_splitting import InputSplitting, padded
from .search.memory import inputs_at_once
from .search.problem import Problem
from .search.refine import refined
from .search.row_lines import row_lines
from .settings import Effort
from .spec import Query

Progress = Callable[[str], None]

_TRIAL, _HOPELESS = 0.5, 0.5  # input splitting that after this part of the time leaves this part of the space gives way
_REFINING = 0.15  # of the time that is left, for intermediate bounds at most
_REFINING_STEPS = 8
FEW_INPUTS = 20  # free ones, for input splitting
_FEW_NEURONS, _BOXES, _LEAST_BOXES = 24, 16, 2**16  # boxes for each pattern of so few ReLUs before it gives way too


def decide(network: Network, query: Query, settings: Effort, *, progress: Progress | None = None) -> Decision:
    """Raises `InputError` where the query is not one of this network's inputs and outputs, `UnsupportedError` where it
    asks of a last Softmax, LogSoftmax or ArgMax what its logits do not tell."""
    return _Run(network, query, settings, progress or (lambda message: None)).decision()


class _Run:
    """One query on its way: what is known so far, and how much time is left."""

    def __init__(self, network: Network, query: Query, settings: Effort, progress: Progress) -> None:
        inputs, outputs = prod(network.graph.input_shape), network.graph.answers
        if (query.inputs, query.outputs) != (inputs, outputs):
            raise InputError(
                f"the query has {query.inputs} inputs and {query.outputs} outputs, the network {inputs} and {outputs}. "
                "Give the network that the query was written for."
            )
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self._began = time.perf_counter()
        self._network, self._settings, self._progress = network, settings, progress
        self._groups = grouped(query.clauses, network.graph.output_shape[0], network.graph.ending)
        self._falsifier = Falsifier(network, self._groups, memory=settings.memory, seed=settings.seed)
        self._visited, self._bound = 0, float("-inf")

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _late(self, part: float = 1.0) -> bool:
        return self._seconds > part * self._settings.timeout

    def decision(self) -> Decision:
        if not self._groups:
            return self._end(Answer.UNSAT, "nothing is unsafe: no clause has an input")
        for stage in self._stages():
            if stage is not None:
                return stage
            if self._late():
                return self._end(Answer.TIMEOUT, f"timeout after {self._settings.timeout:g} s")
        return self._end(Answer.UNKNOWN, "the bounds are as good as they get and within rounding of zero")

    def _stages(self) -> Iterator[Decision | None]:
        """Each step's decision, or None where it leaves the query open."""
        every = [(number, clause) for number, group in enumerate(self._groups) for clause in range(len(group.rows))]
        self._progress(f"attack on {len(every)} clauses")
        yield self._attack(every, restarts=1, steps=10)
        if max(int((group.proof.lower < group.proof.upper).sum()) for group in self._groups) <= FEW_INPUTS:
            yield from self._split_inputs()
        yield from self._split_neurons()

    def _attack(self, clauses: list[tuple[int, int]], *, restarts: int, steps: int) -> Decision | None:
        count = max(16, 1024 // len(self._groups))
        for number in range(len(self._groups)):
            if self._late():
                return None
            found = self._falsifier.sample(number, count)
            if found is not None:
                return self._unsafe(found, "random points")
        found = self._falsifier.descend(clauses, restarts=restarts, steps=steps, stop=self._late)
        return None if found is None else self._unsafe(found, "attack")

    def _split_inputs(self) -> Iterator[Decision | None]:
        """Input splitting, until it is plain that it will not end in time."""
        graph, params, memory = self._network.graph, self._network.exact, self._settings.memory
        batch = max(1, min(4096, inputs_at_once(graph, params, memory)))
        neurons = sum(prod(graph.shapes[name]) for name in nonlinear_inputs(graph).values())
        most = max(batch, memory // (8 * (4 * prod(graph.input_shape) + 8) + neurons))
        search = InputSplitting(
            graph, params, self._groups, batch=batch, most=most, memory=memory // 8, stop=self._late
        )
        # Neuron splitting needs no more subdomains than there are patterns; boxes, which cost less, are without end
        # where the least value is taken along an edge between linear pieces.
        small = neurons < _FEW_NEURONS and all(node.op == "Relu" for node in graph.nodes if node.op in NONLINEAR)
        enough = max(_LEAST_BOXES, _BOXES * len(self._groups) * 2**neurons) if small else float("inf")
        began, start, told = self._visited, self._seconds, 0.0
        while len(search.open.bound):
            for group, _, point in search.run_round():
                found = self._falsifier.replay(group, point)
                if found is not None:
                    self._visited = began + search.visited
                    yield self._unsafe(found, "input splitting")
            self._visited, self._bound = began + search.visited, search.bound
            spent = self._seconds - start
            if spent > told + 1:
                told = spent
                self._progress(f"input splitting: {search.visited} boxes, {100 * search.left:.2f} % of the space open")
            hopeless = spent > _TRIAL * self._settings.timeout and search.left > _HOPELESS
            if search.unwieldy or hopeless or search.visited > enough:
                return
            yield None
        if not search.stuck:
            yield self._end(Answer.UNSAT, f"input splitting, {search.visited} boxes")

    def _split_neurons(self) -> Iterator[Decision | None]:
        """DeepPoly on every box, then branch and bound on the clauses that it leaves open."""
        problems, needed = [], []
        size = inputs_at_once(self._network.graph, self._network.exact, self._settings.memory)
        for first in range(0, len(self._groups), size):
            for problem, margin in self._problems(first, self._groups[first : first + size]):
                problems.append(problem)
                needed.append(margin)
            yield None
        if not problems:
            yield self._end(Answer.UNSAT, "DeepPoly")
        yield self._attack([(problem.owner, problem.number) for problem in problems], restarts=5, steps=50)
        search = self._search(problems, needed)
        if not search.can_split():
            return
        while search.has_roots():
            yield self._round(search, 0)
        left = [place for place, each in enumerate(search.progress) if each.done is None]
        reasons = [each.done for each in search.progress if each.done]
        if not left and not reasons:
            yield self._end(Answer.UNSAT, "alpha-CROWN")
        problems, needed, began = [problems[place] for place in left], [needed[place] for place in left], self._visited
        search = self._search(self._refined(problems), needed)
        while search.is_open():
            yield self._round(search, began)
        reasons += [each.done for each in search.progress if each.done]
        if not reasons:
            yield self._end(Answer.UNSAT, f"branch and bound, {self._visited} subdomains")
        else:
            yield self._end(Answer.UNKNOWN, str(reasons[0]))

    def _search(self, problems: list[Problem], needed: list[float]) -> Search:
        limits = Limits(float("inf"), domains=2**20, memory=self._settings.memory)
        return Search(self._network.graph, self._network.exact, problems, needed, limits)

    def _round(self, search: Search, began: int) -> Decision | None:
        search.run_round()
        for group, point in search.take_candidates().items():
            found = self._falsifier.replay(group, point)
            if found is not None:
                return self._unsafe(found, "branch and bound")
        search.take_finished()
        self._visited = began + sum(each.visited for each in search.progress)
        self._bound = min((each.bound for each in search.progress if each.done is None), default=float("inf"))
        return None

    def _refined(self, problems: list[Problem]) -> list[Problem]:
        """The problems with tighter boxes, as far as a part of the time goes."""
        self._progress(f"intermediate bounds of {len(problems)} clauses")
        until = self._seconds + _REFINING * (self._settings.timeout - self._seconds)
        boxes: dict[int, dict[str, Box]] = {}
        for problem in problems:
            if problem.owner not in boxes:
                pre = {name: Box(known.lower[None], known.upper[None]) for name, known in problem.pre.items()}
                found = refined(
                    self._network.graph, self._network.exact, self._network.single,
                    Box(*(end[None] for end in problem.box)), pre,
                    steps=_REFINING_STEPS, memory=self._settings.memory, stop=lambda: self._seconds > until,
                )  # fmt: skip
                boxes[problem.owner] = {name: Box(known.lower[0], known.upper[0]) for name, known in found.items()}
        return [replace(problem, pre=boxes[problem.owner]) for problem in problems]

    def _problems(self, first: int, groups: list[Group]) -> Iterator[tuple[Problem, float]]:
        """The clauses that DeepPoly leaves open, and what each bound must exceed; `first`: the first's number."""
        rows, offset, alive = padded(groups)
        box = Box(*(torch.stack([group.proof[end] for group in groups]) for end in (0, 1)))
        memory = self._settings.memory
        lines, pre = row_lines(
            self._network.graph, self._network.exact, box, rows, offset, memory=memory // 8, stop=self._late
        )
        shape = self._network.graph.input_shape
        for place, group in enumerate(groups):
            own_pre = {name: Box(known.lower[place].clone(), known.upper[place].clone()) for name, known in pre.items()}
            own = Box(*(end.reshape(shape) for end in group.proof))
            for clause in (alive & ~lines.refuted)[place].nonzero().flatten().tolist():
                best = torch.zeros(rows.shape[2], dtype=torch.float64)
                best[lines.lowest[place, clause].argmax()] = 1
                given = (rows[place, clause], offset[place, clause])
                yield Problem(first + place, clause, own, *given, own_pre, best), float(lines.needed[place])

    def _unsafe(self, found: Witness, how: str) -> Decision:
        return self._end(Answer.SAT, how, found)

    def _end(self, verdict: Answer, reason: str, witness: Witness | None = None) -> Decision:
        open_still = verdict in (Answer.UNKNOWN, Answer.TIMEOUT) and abs(self._bound) != float("inf")
        bound = self._bound if open_still else None
        return Decision(verdict, reason, self._seconds, witness, self._visited, bound)
