"""VNN-LIB queries of one network as questions, and their answers in time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path

from ..alarm import alarm
from ..answer import Answer, Verdict
from ..deadline import OutOfTime
from ..errors import GlscertError, InputError
from ..graph.extended import extended
from ..network import Network
from ..search.clauses import Group, grouped
from ..settings import Effort
from ..spec import Query, Source, check_readable, read_query, read_source
from .jobs import ALONE, Jobs, spread
from .line import answers
from .question import Question
from .run import Progress
from .timed import GRACE, in_time

_PART = 16  # queries that are decided together
_ENDS, _READ = 4 * 8, 0.25  # bytes of a clause for each input; the part of memory for queries that wait

Found = tuple[int, Answer | GlscertError]
_Part = list[tuple[int, Path | Source | Query | GlscertError]]  # queries with their places among all


@dataclass(frozen=True)
class _Asked:
    """A query by its place, and the seconds that its reading took."""

    place: int
    query: Query
    seconds: float


def answered(
    network: Network,
    given: Sequence[Path | Query],
    effort: Effort,
    *,
    began: float | None = None,
    progress: Progress | None = None,
    jobs: Jobs = ALONE,
) -> Iterator[Found]:
    """Of each query, or the file that it is in, its place and the answer, or what is wrong with it, as they come:
    decided some together, timeout where that does not end.

    began: of the time of a single one, as `time.perf_counter` has it; each of several has the time of the work on it.
    jobs: processes that share them.
    """
    every: _Part = list(enumerate(given))
    parts = [every[first : first + _PART] for first in range(0, len(every), _PART)]
    if jobs.several and len(given) > 1:
        yield from spread(_begin, (network, effort), map(_with_texts, parts), jobs)
        return
    for part in parts:
        yield from _part(network, effort, part, began, progress)


def _with_texts(part: _Part) -> _Part:
    """For a process that may not see the files, or not as they are here."""
    return [(place, _text(source) if isinstance(source, Path) else source) for place, source in part]


def _text(path: Path) -> Source | GlscertError:
    try:
        return read_source(path)
    except GlscertError as error:
        return error


def _begin(common: tuple[Network, Effort]) -> Callable[[_Part], Iterator[Found]]:
    """In a process of its own."""
    return partial(_part, *common)


def _part(
    network: Network,
    effort: Effort,
    part: _Part,
    began: float | None = None,
    progress: Progress | None = None,
) -> Iterator[Found]:
    asked: list[_Asked] = []
    for place, source in part:
        if isinstance(source, GlscertError):
            yield place, source
            continue
        found = _read(network, place, source, effort, began)
        if not isinstance(found, _Asked):
            yield place, found
            continue
        asked.append(found)
        if _ENDS * sum(len(each.query.clauses) for each in asked) * found.query.inputs > effort.memory * _READ:
            yield from _decided(network, asked, effort, progress)
            asked = []
    if asked:
        yield from _decided(network, asked, effort, progress)


def _read(
    network: Network, place: int, source: Path | Source | Query, effort: Effort, began: float | None
) -> _Asked | Answer | GlscertError:
    start, graph = time.perf_counter() if began is None else began, network.graph
    try:
        if isinstance(source, Query):
            query = source
        else:
            with alarm(max(0.0, start + effort.timeout - time.perf_counter()) + GRACE):
                query = read_query(source, prod(graph.input_shape), graph.answers, graph.held)
        check_readable(query, graph.ending, graph.output_shape[0])
    except OutOfTime:
        reason = f"timeout after {effort.timeout:g} s, while the property was read"
        return Answer(Verdict.TIMEOUT, reason, time.perf_counter() - start)
    except GlscertError as error:
        return error
    return _Asked(place, query, time.perf_counter() - start)


def _decided(network: Network, asked: Sequence[_Asked], effort: Effort, progress: Progress | None) -> Iterator[Found]:
    """Those whose rows name inputs go together, on a network whose outputs go on with these."""
    naming = {each.place: each.query.named_inputs() for each in asked}
    named = sorted(set().union(*naming.values()) & set(range(prod(network.graph.input_shape))))
    related: dict[bool, list[Question]] = {False: [], True: []}
    of = {each.place: each.query for each in asked}
    for each in asked:
        began, own = time.perf_counter(), bool(naming[each.place])
        try:
            groups = _groups(network, each.query, effort.memory, named if own else [])
        except GlscertError as error:
            yield each.place, error
            continue
        spent = each.seconds + time.perf_counter() - began
        related[own].append(Question(each.place, groups, effort.timeout, spent))
    places = {question.key for own in related.values() for question in own}
    began = time.perf_counter()
    network.check_clauses([clause for each in asked if each.place in places for clause in each.query.clauses[:1]])
    share = (time.perf_counter() - began) / max(1, len(places))
    for own, questions in related.items():
        subject = network.with_graph(extended(network.graph, named)) if own and questions else network
        questions = [replace(each, spent=each.spent + share) for each in questions]
        for question, answer in in_time(answers(subject, questions, effort, progress), questions, effort):
            yield question.key, _told(answer, of[question.key])


def _told(answer: Answer, query: Query) -> Answer:
    """With what there is to say of the query. A case without a condition on outputs is falsified by any input of its
    box, or any that its comparisons of inputs hold of, whatever the network."""
    free, remark = [clause for clause in query.clauses if not any(row.terms for row in clause.rows)], ""
    if free:
        part = "it" if len(free) == len(query.clauses) else f"{len(free)} of its {len(query.clauses)} cases"
        which = "that fulfils its comparisons" if any(clause.rows for clause in free) else "of its box"
        remark = f"{part} states no condition on the outputs, so any input {which} is sat"
        remark += ": it says nothing about the network."
    return replace(answer, nearest=query.nearest, remark=remark)


def _groups(network: Network, query: Query, memory: int, named: Sequence[int]) -> list[Group]:
    """named: the inputs that follow the outputs of the graph that it is decided on."""
    inputs, outputs = prod(network.graph.input_shape), network.graph.answers
    if (query.inputs, query.outputs) != (inputs, outputs):
        raise InputError(
            f"the query has {query.inputs} inputs and {query.outputs} outputs, the network {inputs} and {outputs}. "
            "Give the network that the query was written for."
        )
    return grouped(query.clauses, network.graph.output_shape[0], network.graph.ending, memory, named)
