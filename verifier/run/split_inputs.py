"""Input splitting, of each case with few inputs until it is plain that it will not end in time."""

from collections.abc import Iterator

from ..answer import Verdict
from ..search.input_splitting import InputSplitting
from ..search.memory import inputs_at_once
from .borders import refute_borders
from .ledger import still_open
from .patience import Patience
from .question import Case
from .run import Ended, Run

_TOLD = 1.0  # seconds between two sentences


def split_inputs(run: Run) -> Iterator[Ended]:
    cases = [case for case in still_open(run.cases) if case.few_inputs]
    if not cases:
        return
    run.ledger.begin(dict.fromkeys(cases, 1))
    place = {case: number for number, case in enumerate(cases)}
    numbers = [number for number, case in enumerate(run.case) if case in place]
    search = _search(run, numbers, [place[run.case[number]] for number in numbers])
    told, patience, inside = run.ledger.billed, Patience(run.engine, cases, run.strict(cases)), list(cases)
    while inside:
        run.ledger.begin(dict.fromkeys(inside, 1))
        found = search.run_round()
        run.ledger.bill({case: search.visited[place[case]] - case.visited for case in inside})
        for case in inside:
            case.visited = search.visited[place[case]]
        for group, _, point in found:
            case = run.case[numbers[group]]
            witness = None if case.decided else run.falsifier.replay(numbers[group], point)
            run.ledger.bill({case: 1})
            if witness is not None:
                yield run.end(case, Verdict.FALSIFIED, "input splitting", witness)
        yield from _concluded(run, search, patience, {case: place[case] for case in inside})
        inside = [case for case in inside if not case.decided and place[case] not in search.dropped]
        if inside and run.ledger.billed > told + _TOLD:
            told, standing = run.ledger.billed, search.standing()
            some = sum(standing.left[place[case]] for case in inside) / len(inside)
            run.progress(f"input splitting: {sum(search.visited)} boxes, {100 * some:.2f} % of the space open")


def _search(run: Run, numbers: list[int], owners: list[int]) -> InputSplitting:
    engine, memory = run.engine, run.effort.memory
    batch = max(1, min(4096, inputs_at_once(engine, memory)))
    most = max(batch, memory // (8 * (4 * engine.inputs + 8) + engine.neurons))
    return InputSplitting(
        engine, [run.groups[number] for number in numbers], owners, batch=batch, most=most, memory=memory // 8,
        stop=run.ledger.stop, proofs=memory // 4 if run.effort.proofs else 0,
        exact=lambda group, *part: run.border.refutes_part(numbers[group], *part),
    )  # fmt: skip


def _concluded(run: Run, search: InputSplitting, patience: Patience, places: dict[Case, int]) -> Iterator[Ended]:
    """Ends what is closed or late, drops what other splits may do better."""
    standing, crowded = search.standing(), search.crowded()
    for case, own in places.items():
        count, case.bound, left, growth = (each[own] for each in standing)
        if count and not case.decided and patience.wants_exact(case):
            yield from refute_borders(run, [case])
        if not case.decided and not count and own not in search.stuck:
            case.proved = search.proved[own]
            _keep_proofs(run, search, case, own)
            yield run.end(case, Verdict.VERIFIED, f"input splitting, {case.visited} boxes")
        yield from run.late([case])
        if case.decided or not count or own == crowded or patience.is_over(case, left, growth):
            search.drop(own)


def _keep_proofs(run: Run, search: InputSplitting, case: Case, owner: int) -> None:
    if search.proofs is None:
        return
    for number, place in zip(run.numbers(case), search.groups_of(owner), strict=True):
        if run.groups[number].alive.any():
            run.closings[number, int(run.groups[number].alive.argmax())] = search.proofs.tree(place)
