"""The straight line from queries to their answers.

    attack -> of few inputs: input splitting -> bounds of every box -> attack -> search (`search.search`)

Queries of one network go through it together, each with its own share of the time. `unsat` is said only when float64
bounds refute every clause on its whole box by more than may have rounded in them (`bounds.errors`), or exact arithmetic
does at the border, `sat` only of a point that onnxruntime, on the file itself, confirmed (`search.confirm`).
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod

import torch

from . import deadline
from .bounds import Box
from .bounds.interval import nonlinear_inputs
from .decision import Answer as Answer
from .decision import Decision as Decision
from .decision import Witness
from .errors import GlscertError, InputError, memory_missing
from .graph.extended import extended
from .graph.shapes import NONLINEAR
from .network import Network
from .pending import Pending, Shares, waves
from .search.border import Border
from .search.clauses import Group, grouped
from .search.falsify import Falsifier
from .search.frontier import Limits
from .search.input_splitting import InputSplitting, padded
from .search.memory import inputs_at_once
from .search.problem import Problem
from .search.row_lines import row_lines
from .search.search import Search
from .settings import Effort
from .spec import Query

Progress = Callable[[str], None]
Ended = tuple[int, Decision]  # of the query at that place

# Input splitting gives way after this part of the time where it leaves this part of the space open and still opens more
# boxes than it closes.
_TRIAL, _HOPELESS = 0.5, 0.5
_FEW_NEURONS, _BOXES, _LEAST_BOXES = 24, 16, 2**16  # boxes for each pattern of so few ReLUs before it gives way too
# At a border boxes are without end around the kinks that lie on it: then after so few, or once all bounds are as near.
_BORDER_BOXES, _AT_BORDER, _FIRST_BOXES = 2**12, 1e-4, 2**8  # the last: before exact bounds of the whole box
_WAVE = 0.25  # of the memory, for the queries that are decided together


def decide(network: Network, query: Query, settings: Effort, *, progress: Progress | None = None) -> Decision:
    """Raises `InputError` where the query is not one of this network's inputs and outputs, `UnsupportedError` where it
    asks of a last Softmax, LogSoftmax or ArgMax what its logits do not tell."""
    ((_, found),) = decide_many(network, [query], settings, progress=progress)
    if isinstance(found, GlscertError):
        raise found
    return found


def decide_many(
    network: Network,
    queries: Sequence[Query],
    settings: Effort,
    *,
    timeouts: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Decision | GlscertError]]:
    """Of each query its place and the answer, in the order in which they are reached; where `decide` would raise, the
    error. timeouts: seconds that each may take of the work they share; default the settings' for every one.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    naming = [query.named_inputs() for query in queries]
    named = sorted(set().union(*naming) & set(range(prod(network.graph.input_shape))))
    wide = replace(network, graph=extended(network.graph, named)) if named else network
    cases: dict[bool, list[Pending]] = {False: [], True: []}  # by whether rows name inputs
    for place, query in enumerate(queries):
        began, related = time.perf_counter(), bool(naming[place])
        try:
            groups = _groups(network, query, settings.memory, named if related else [])
        except GlscertError as error:
            yield place, error
            continue
        timeout = settings.timeout if timeouts is None else timeouts[place]
        cases[related].append(Pending(place, groups, timeout, time.perf_counter() - began))
    asked = [case.place for own in cases.values() for case in own]
    network.check_clauses([clause for place in asked for clause in queries[place].clauses[:1]])
    for subject, own in ((network, cases[False]), (wide, cases[True])):
        for wave in waves(own, subject.graph, int(_WAVE * settings.memory)):
            for place, decision in _Run(subject, wave, settings, progress or (lambda message: None)).decisions():
                yield place, replace(decision, nearest=queries[place].nearest)


def _groups(network: Network, query: Query, memory: int, named: Sequence[int]) -> list[Group]:
    """named: the inputs that follow the outputs of the graph that it is decided on."""
    inputs, outputs = prod(network.graph.input_shape), network.graph.answers
    if (query.inputs, query.outputs) != (inputs, outputs):
        raise InputError(
            f"the query has {query.inputs} inputs and {query.outputs} outputs, the network {inputs} and {outputs}. "
            "Give the network that the query was written for."
        )
    return grouped(query.clauses, network.graph.output_shape[0], network.graph.ending, memory, named)


class _Run(Shares):
    """Queries on their way together. A group is named by its number among those of all queries."""

    def __init__(self, network: Network, cases: list[Pending], settings: Effort, progress: Progress) -> None:
        self._network, self._cases, self._settings, self._progress = network, cases, settings, progress
        self._groups = [group for case in cases for group in case.groups]
        owners = [number for number, case in enumerate(cases) for _ in case.groups]
        self._case = [cases[number] for number in owners]  # of each group
        self._falsifier = Falsifier(network, self._groups, owners, memory=settings.memory, seed=settings.seed)
        self._looked_at = set[Pending]()  # by the border
        self._border = Border(network.graph, network.exact, self._groups)
        super().__init__()

    def decisions(self) -> Iterator[Ended]:
        try:
            for ended in self._stages():
                yield ended
                self._billed = time.perf_counter()  # what is done with an answer is none of ours
        finally:
            deadline.set_limit()

    def _stages(self) -> Iterator[Ended]:
        for case in self._cases:
            if not case.groups:
                yield self._end(case, Answer.UNSAT, "nothing is unsafe: no clause has an input")
        every = [(number, clause) for number, group in enumerate(self._groups) for clause in range(len(group.rows))]
        self._progress(f"attack on {len(every)} clauses")
        yield from self._timed(self._attack(every, restarts=1, steps=10))
        few = [case for case in self._open(self._cases) if case.few_inputs]
        if few:
            yield from self._timed(self._split_inputs(few))
        yield from self._timed(self._refute_borders(self._cases))
        while self._open(self._cases) and (yield from self._timed(self._split_neurons())):
            pass  # again for those that have time left
        for case in self._open(self._cases):
            yield self._end(case, Answer.UNKNOWN, "the bounds are as good as they get and within rounding of zero")

    def _timed(self, stage: Iterator[Ended]) -> Generator[Ended, None, bool]:
        """The stage's answers; and for the queries that a step was for which went beyond the time, timeout, or beyond
        the machine's memory, unknown. Whether there was such a step."""
        try:
            yield from stage
            return False
        except deadline.OutOfTime:
            ending = self._timeout
        except (MemoryError, RuntimeError) as error:
            missing = memory_missing(error)
            if missing is None:
                raise
            short = f"a step takes {missing}"

            def ending(case: Pending) -> Ended:
                return self._end(case, Answer.UNKNOWN, f"{short}{case.reached()}")

        inside = self._open(self._shares) or self._open(self._cases)
        self._bill(dict.fromkeys(inside, 1))
        for case in inside:
            yield ending(case)
        return True

    def _timeout(self, case: Pending) -> Ended:
        return self._end(case, Answer.TIMEOUT, f"timeout after {self._settings.timeout:g} s{case.reached()}")

    def _numbers(self, case: Pending) -> list[int]:
        """Its groups."""
        return [number for number, owner in enumerate(self._case) if owner is case]

    def _end(self, case: Pending, verdict: Answer, reason: str, witness: Witness | None = None) -> Ended:
        doubt = self._falsifier.doubt(self._cases.index(case))
        if doubt is not None and verdict in (Answer.UNSAT, Answer.UNKNOWN):
            verdict, reason = Answer.UNKNOWN, doubt
        return case.place, case.end(verdict, reason, witness)

    def _late(self, cases: Iterable[Pending]) -> Iterator[Ended]:
        """Ends those whose time is over."""
        for case in self._open(cases):
            if case.late:
                yield self._timeout(case)

    def _attack(self, clauses: list[tuple[int, int]], *, restarts: int, steps: int) -> Iterator[Ended]:
        """On clauses, each by the number of its group and its own within that."""
        for number in dict.fromkeys(number for number, _ in clauses):
            case = self._case[number]
            if case.decided:
                continue
            self._begin({case: 1})
            found = self._falsifier.sample(number, max(16, 1024 // len(case.groups)))
            self._bill({case: 1})
            if found is not None:
                yield self._end(case, Answer.SAT, "random points", found)
            yield from self._late([case])
        clauses = [pair for pair in clauses if not self._case[pair[0]].decided]
        if not clauses:
            return
        shares = Counter(self._case[number] for number, _ in clauses)
        self._begin(shares)
        witnesses = self._falsifier.descend(clauses, restarts=restarts, steps=steps, stop=self._stop)
        self._bill(shares)
        for owner, witness in witnesses.items():
            yield self._end(self._cases[owner], Answer.SAT, "attack", witness)
        yield from self._late(shares)

    def _refute_borders(self, cases: Iterable[Pending]) -> Iterator[Ended]:
        """Exact bounds of whole boxes, once, where a comparison is strict: of what never passes a border there may be
        no other."""
        for case in self._open(cases):
            if case in self._looked_at:
                continue
            self._looked_at.add(case)
            numbers = self._numbers(case)
            for number in numbers:
                self._begin({case: 1})
                if not case.late:
                    self._border.close(number)
                self._bill({case: 1})
            if not any(bool(self._groups[number].alive.any()) for number in numbers):
                yield self._end(case, Answer.UNSAT, "exact bounds")
            yield from self._late([case])

    def _split_inputs(self, cases: list[Pending]) -> Iterator[Ended]:
        """Input splitting, of each query until it is plain that it will not end in time."""
        graph, params, memory = self._network.graph, self._network.exact, self._settings.memory
        batch = max(1, min(4096, inputs_at_once(graph, params, memory)))
        neurons = sum(prod(graph.shapes[name]) for name in nonlinear_inputs(graph).values())
        most = max(batch, memory // (8 * (4 * prod(graph.input_shape) + 8) + neurons))
        self._begin(dict.fromkeys(cases, 1))
        place = {case: number for number, case in enumerate(cases)}
        numbers = [number for number, case in enumerate(self._case) if case in place]
        groups, owners = [self._groups[number] for number in numbers], [place[self._case[n]] for n in numbers]
        search = InputSplitting(
            graph, params, groups, owners, batch=batch, most=most, memory=memory // 8, stop=self._stop,
            exact=lambda group, *part: self._border.refutes_part(numbers[group], *part),
        )  # fmt: skip
        # Neuron splitting needs no more subdomains than there are patterns; boxes, which cost less, are without end
        # where the least value is taken along an edge between linear pieces.
        small = neurons < _FEW_NEURONS and all(node.op == "Relu" for node in graph.nodes if node.op in NONLINEAR)
        start, told = {case: case.seconds for case in cases}, self._billed
        strict = {case for case in cases if self._border.any_strict(self._numbers(case))}
        first: dict[Pending, float] = {}
        inside, gone = list(cases), set[Pending]()
        while inside:
            self._begin(dict.fromkeys(inside, 1))
            found = search.run_round()
            self._bill({case: search.visited[place[case]] - case.visited for case in inside})
            for case in inside:
                case.visited = search.visited[place[case]]
            for group, _, point in found:
                case = self._case[numbers[group]]
                witness = None if case.decided else self._falsifier.replay(numbers[group], point)
                self._bill({case: 1})
                if witness is not None:
                    yield self._end(case, Answer.SAT, "input splitting", witness)
            standing, crowded = search.standing(), search.crowded()
            for case in inside:
                own = place[case]
                count, case.bound, left, growth = (each[own] for each in standing)
                tried = case.seconds - start[case] > _TRIAL * case.timeout
                hopeless = tried and left > _HOPELESS and growth >= 1
                enough = max(_LEAST_BOXES, _BOXES * len(case.groups) * 2**neurons) if small else float("inf")
                if case in strict and not case.decided:
                    near = case.bound > -_AT_BORDER * abs(first.setdefault(case, case.bound))
                    enough = _BORDER_BOXES / 4 if near else _BORDER_BOXES if small else enough
                    if case.visited > _FIRST_BOXES and count:
                        yield from self._refute_borders([case])
                if not case.decided and not count and own not in search.stuck:
                    yield self._end(case, Answer.UNSAT, f"input splitting, {case.visited} boxes")
                yield from self._late([case])
                if case.decided or not count or own == crowded or hopeless or case.visited > enough:
                    search.drop(own)
                    gone.add(case)
            inside = [case for case in inside if case not in gone]
            if inside and self._billed > told + 1:
                told = self._billed
                some = sum(standing.left[place[case]] for case in inside) / len(inside)
                self._progress(f"input splitting: {sum(search.visited)} boxes, {100 * some:.2f} % of the space open")

    def _split_neurons(self) -> Iterator[Ended]:
        """DeepPoly on every box, then branch and bound on the clauses that it leaves open."""
        problems: list[Problem] = []
        unproved: set[Pending] = set()
        lowest: dict[Pending, float] = {}
        todo = [number for number, case in enumerate(self._case) if not case.decided]
        last = {self._case[number]: number for number in todo}
        size = inputs_at_once(self._network.graph, self._network.exact, self._settings.memory)
        for first in range(0, len(todo), size):
            numbers = [number for number in todo[first : first + size] if not self._case[number].decided]
            if not numbers:
                continue
            shares = Counter(self._case[number] for number in numbers)
            self._begin(shares)
            found = list(self._problems(numbers, lowest))
            self._bill(shares)
            problems += found
            unproved.update(self._case[problem.owner] for problem in found)
            for case in shares:
                if last[case] > numbers[-1]:
                    continue
                if case in unproved:
                    case.bound = max(case.bound, lowest[case])
                else:
                    yield self._end(case, Answer.UNSAT, "DeepPoly")
            yield from self._late(shares)
        problems = self._left(problems)
        yield from self._attack([(problem.owner, problem.number) for problem in problems], restarts=5, steps=50)
        problems = self._left(problems)
        search = self._search(problems)
        if not search.can_split():
            return
        reasons: dict[Pending, str] = {}
        yield from self._rounds(search, search.has_roots, reasons, lambda case: "alpha-CROWN")
        yield from self._rounds(
            search, search.is_open, reasons, lambda case: f"branch and bound, {case.visited} subdomains"
        )

    def _left(self, problems: list[Problem]) -> list[Problem]:
        """Those of queries without an answer."""
        return [each for each in problems if not self._case[each.owner].decided]

    def _search(self, problems: list[Problem]) -> Search:
        limits = Limits(float("inf"), domains=2**20, memory=self._settings.memory)
        search = Search(self._network.graph, self._network.exact, self._network.single, problems, limits)
        search.border = self._border
        return search

    def _rounds(
        self, search: Search, more: Callable[[], bool], reasons: dict[Pending, str], proof: Callable[[Pending], str]
    ) -> Iterator[Ended]:
        """Rounds of the search. reasons: what keeps queries from being proved once nothing is left to search; proof:
        how the others were."""
        of = [self._case[problem.owner] for problem in search.problems]
        before = {case: case.visited for case in of}
        for case, progress in zip(of, search.progress, strict=True):
            before[case] -= progress.visited  # in earlier rounds of this search
        while more():
            inside = self._open(before)
            self._begin(dict.fromkeys(inside, 1))
            search.run_round()
            visited, bound = Counter(before), dict.fromkeys(before, float("inf"))
            for case, progress in zip(of, search.progress, strict=True):
                visited[case] += progress.visited
                if progress.done is None:
                    bound[case] = min(bound[case], progress.bound)
            served = {case: visited[case] - case.visited for case in inside}
            self._bill(served if any(served.values()) else dict.fromkeys(inside, 1))
            for case in inside:
                case.visited, case.bound = visited[case], bound[case]
            for number, point in search.take_candidates().items():
                case = self._case[number]
                witness = None if case.decided else self._falsifier.replay(number, point)
                self._bill({case: 1})
                if witness is not None:
                    yield self._end(case, Answer.SAT, "branch and bound", witness)
            if search.take_finished():
                yield from self._finished(search, of, reasons, proof)
            yield from self._late(inside)
            ended = {case for case in inside if case.decided}
            for owner in {p.owner for p, case in zip(search.problems, of, strict=True) if case in ended}:
                search.stop_owner(owner, "answered")

    def _finished(
        self, search: Search, of: list[Pending], reasons: dict[Pending, str], proof: Callable[[Pending], str]
    ) -> Iterator[Ended]:
        """Answers the queries `of` the problems where nothing is left to search."""
        searched = set()
        for case, progress in zip(of, search.progress, strict=True):
            if progress.done is None:
                searched.add(case)
            elif progress.done:
                reasons.setdefault(case, progress.done)
        for case in self._open(dict.fromkeys(of)):
            if case not in searched and case in reasons:
                yield self._end(case, Answer.UNKNOWN, reasons[case])
            elif case not in searched:
                yield self._end(case, Answer.UNSAT, proof(case))

    def _problems(self, numbers: list[int], lowest: dict[Pending, float]) -> Iterator[Problem]:
        """The clauses of these groups that DeepPoly leaves open; lowest: the least of their bounds, of each query."""
        groups = [self._groups[number] for number in numbers]
        rows, offset, alive = padded(groups)
        box = Box(*(torch.stack([group.proof[end] for group in groups]) for end in (0, 1)))
        memory = self._settings.memory
        lines, pre, _ = row_lines(
            self._network.graph, self._network.exact, box, rows, offset, memory=memory // 8, stop=self._stop
        )
        shape = self._network.graph.input_shape
        for place, (number, group) in enumerate(zip(numbers, groups, strict=True)):
            own_pre = {name: Box(known.lower[place].clone(), known.upper[place].clone()) for name, known in pre.items()}
            own = Box(*(end.reshape(shape) for end in group.proof))
            for clause in (alive & ~lines.refuted)[place].nonzero().flatten().tolist():
                near = float(lines.best[place, clause]) >= -float(lines.needed[place])
                if near and self._border.refutes(number, clause):
                    continue
                best = torch.zeros(rows.shape[2], dtype=torch.float64)
                best[lines.lowest[place, clause].argmax()] = 1
                given = (rows[place, clause], offset[place, clause])
                bound = float(lines.best[place, clause].nan_to_num(nan=-torch.inf))
                lowest[self._case[number]] = min(bound, lowest.get(self._case[number], bound))
                yield Problem(number, clause, own, *given, own_pre, best)
