"""The straight line from questions to answers.

    a look -> intervals -> lines -> attack -> of few inputs: input splitting -> exact borders
           -> α-CROWN -> a longer attack -> branch and bound

Questions of one network go through it together, each with its own share of the time. `verified` is said only when
float64 bounds refute every clause on its whole region by more than may have rounded in them, and in the network
(`engine.errors`), or exact arithmetic does at a border; `falsified` only of a point that onnxruntime, on the file
itself, confirmed (`search.confirm`).
"""

from collections.abc import Callable, Generator, Iterator, Sequence

from .. import deadline
from ..answer import Answer, Verdict
from ..errors import memory_missing
from ..network import Network
from ..settings import Effort
from .attack import attack
from .borders import borders
from .given import given
from .interval import intervals
from .ledger import still_open
from .lines import lines
from .look import look
from .question import Case, Question
from .run import Ended, Progress, Run
from .split_inputs import split_inputs
from .split_neurons import split_neurons
from .waves import waves

_WAVE = 0.25  # of the memory, for the questions that are decided together

Stage = Callable[[Run], Iterator[Ended]]
STAGES: dict[str, Stage] = {
    "look": look,
    "intervals": intervals,
    "lines": lines,
    "attack": attack,
    "given inputs": given,
    "input splitting": split_inputs,
    "borders": borders,
    "neuron splitting": split_neurons,
}


def answers(
    network: Network, questions: Sequence[Question], effort: Effort, progress: Progress | None = None
) -> Iterator[tuple[Question, Answer]]:
    """Of each question its answer, in the order in which they are reached."""
    cases = [Case(question) for question in questions]
    for wave in waves(cases, network.engine, int(_WAVE * effort.memory)):
        run = Run(network, wave, effort, progress or (lambda message: None))
        try:
            for case, answer in _stages(run):
                yield case.question, answer
                run.ledger.skip()  # what is done with an answer is none of ours
        finally:
            deadline.set_limit()


def _stages(run: Run) -> Iterator[Ended]:
    for case in run.cases:
        if not case.groups:
            yield run.end(case, Verdict.VERIFIED, "nothing is unsafe: no clause has an input")
    stages = list(STAGES.values())[:-1]
    if run.network.graph.ending is not None:
        # a last Softmax rounds to ties, which are broken in onnxruntime and not for bounds of what it is fed
        stages.insert(0, attack)
    for stage in stages:
        yield from _timed(run, stage)
    while still_open(run.cases) and (yield from _timed(run, split_neurons)):
        pass  # again for those that have time left
    for case in still_open(run.cases):
        yield run.end(case, Verdict.UNKNOWN, "the bounds are as good as they get and within rounding of zero")


def _timed(run: Run, stage: Stage) -> Generator[Ended, None, bool]:
    """The stage's answers; and for the cases that a step was for which went beyond the time, timeout, or beyond the
    machine's memory, unknown. Whether there was such a step."""
    if not still_open(run.cases):
        return False
    short = None
    try:
        yield from stage(run)
        return False
    except deadline.OutOfTime:
        pass
    except (MemoryError, RuntimeError) as error:
        missing = memory_missing(error)
        if missing is None:
            raise
        short = f"a step takes {missing}"
    inside = still_open(run.ledger.shares) or still_open(run.cases)
    run.ledger.bill(dict.fromkeys(inside, 1))
    for case in inside:
        yield run.timeout(case) if short is None else run.stopped(case, Verdict.UNKNOWN, short)
    return True
