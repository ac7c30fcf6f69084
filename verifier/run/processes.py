"""Parts of the work in processes on this machine."""

import multiprocessing
import signal
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from ..engine.threads import set_threads
from ..errors import GlscertError
from .parts import TRIES, Begin, Common, Found, Part

_PATIENCE = 5.0  # seconds for a process to end


class _Asks(NamedTuple):
    """What a process says once it is there, and once it is done with a part."""


class _Failed(NamedTuple):
    error: BaseException


def on_this_machine(
    begin: Begin[Common, Part, Found], common: Common, parts: Iterable[Part], count: int
) -> Iterator[tuple[int, Found]]:
    """As `jobs.spread`, but that what a process told before it died is told again."""
    todo, lost = enumerate(parts), Counter[int]()
    workers: dict[Any, _Worker] = {}
    try:
        for first in islice(todo, count):
            _hire(workers, first)
        while workers:
            for connection in wait(list(workers)):
                worker = workers[connection]
                said = worker.hear()
                if said is None:
                    del workers[connection]
                    lost[worker.number] += 1
                    worker.bury(lost[worker.number])
                    _hire(workers, (worker.number, worker.part))
                elif isinstance(said, _Failed):
                    raise said.error
                elif not isinstance(said, _Asks):
                    yield said
                elif not worker.ready:
                    worker.ready = True
                    worker.tell((begin, common, worker.part))
                elif (following := next(todo, None)) is not None:
                    worker.number, worker.part = following
                    worker.tell(worker.part)
                else:
                    workers.pop(connection).end()
    finally:
        for worker in workers.values():
            worker.process.terminate()
        for worker in workers.values():
            worker.end()


def _hire(workers: "dict[Any, _Worker]", first: tuple[int, Any]) -> None:
    worker = _Worker(*first)
    workers[worker.connection] = worker


class _Worker:
    """A process, and the part that it is at. ready: it has said that it is there."""

    def __init__(self, number: int, part: Any) -> None:
        self.number, self.part, self.ready = number, part, False
        # not forked: threads of this process may hold locks
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there,), daemon=True)
        with _without_ctrl_c():
            self.process.start()
        there.close()

    def hear(self) -> Any:
        """What it says; None where it died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def tell(self, what: Any) -> None:
        try:
            self.connection.send(what)
        except OSError:
            pass  # it died, which is heard next

    def end(self) -> None:
        self.connection.close()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def bury(self, times: int) -> None:
        """Of one that died. Raises GlscertError where another one would do no better."""
        self.end()
        if not self.ready:
            raise GlscertError(
                "a process of its own cannot start. In a script, what asks for several of them belongs below "
                '`if __name__ == "__main__":`, since each of them runs the script\'s other lines.'
            )
        if times == TRIES:
            code = self.process.exitcode or 0
            how = f"by signal {-code}" if code < 0 else f"with the code {code}"
            raise GlscertError(
                f"a process of its own ended {TRIES} times on the same part of the work, {how}; it may lack memory. "
                "Ask for fewer processes (--jobs), or for less --memory in each."
            )


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that starts inside never hears of it: the first one answers for all."""
    resource_tracker.ensure_running()  # else it starts inside, and lets the signal through again
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _serve(connection: Connection) -> None:
    """What a process does: parts, until there are no more, or nobody who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)
    try:
        connection.send(_Asks())
        begin, common, part = connection.recv()
        work = begin(common)
        while True:
            for told in work(part):
                connection.send(told)
            connection.send(_Asks())
            part = connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        connection.send(_Failed(_sendable(error)))


def _sendable(error: Exception) -> Exception:
    """The error itself where it is ours, else one that says where it was raised."""
    if isinstance(error, GlscertError | MemoryError):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))
