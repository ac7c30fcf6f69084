"""Parts of a run in processes of their own, one thread each: on this machine, or on a Ray cluster.

What the parts are does not depend on how many processes there are, nor does what is answered in one. A part whose
process dies is done again, a few times.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from ..engine.threads import set_threads
from ..errors import GlscertError, InputError

_TRIES = 3  # of a part
_AHEAD = 2  # parts for each process that wait

Part = TypeVar("Part")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Jobs:
    """count: processes. ray: the address of a cluster whose processes they are, "auto" or "local" among them; None:
    this machine's own."""

    count: int = 1
    ray: str | None = None

    @property
    def several(self) -> bool:
        return self.count > 1 or self.ray is not None


ALONE = Jobs()


def spread(work: Callable[[Part], Found], parts: Sequence[Part], jobs: Jobs) -> Iterator[Found]:
    """work(part) of every part, as they come. work is a function of a module, its parts and what it finds can be
    pickled. Raises what it raises, and GlscertError where a part's process dies every time."""
    return _on_cluster(work, parts, jobs) if jobs.ray is not None else _on_this_machine(work, parts, jobs.count)


def _on_this_machine(work: Callable[[Part], Found], parts: Sequence[Part], count: int) -> Iterator[Found]:
    left, tries = dict(enumerate(parts)), dict.fromkeys(range(len(parts)), 0)
    while left:
        # not forked: threads of this process may hold locks
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _prepared)
        waiting: dict[Future[Found], int] = {}
        try:
            todo = iter(list(left))
            while True:
                for place in todo:
                    tries[place] += 1
                    waiting[pool.submit(work, left[place])] = place
                    if len(waiting) >= _AHEAD * count:
                        break
                if not waiting:
                    break
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    place = waiting.pop(future)
                    found = future.result()
                    del left[place]
                    yield found
        except BrokenProcessPool:
            if max(tries[place] for place in left) >= _TRIES:
                raise GlscertError(
                    f"a process of its own ended {_TRIES} times on the same part of the work; it may lack memory. Give "
                    "fewer --jobs, or --memory less."
                ) from None
            continue
        finally:
            _ended(pool)


def _prepared() -> None:
    """Ctrl-C is the first process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)


def _ended(pool: ProcessPoolExecutor) -> None:
    before = set(multiprocessing.active_children())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in before:
        process.terminate()


def _on_cluster(work: Callable[[Part], Found], parts: Sequence[Part], jobs: Jobs) -> Iterator[Found]:
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs the package ray; install glscert[train], or use --jobs.") from None
    local = jobs.ray == "local"
    options: dict[str, Any] = {"num_cpus": jobs.count} if local else {"address": jobs.ray}
    try:
        ray.init(**options, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"cannot reach a Ray cluster at {jobs.ray}: {error}. Start one with ray start --head."
        ) from None
    try:
        remote = ray.remote(num_cpus=1, max_retries=_TRIES)(_alone)
        running = [remote.remote(work, part) for part in parts]
        while running:
            done, running = ray.wait(running)
            found, wrong = ray.get(done[0])
            if wrong is not None:
                raise wrong
            yield found
    except ray.exceptions.RayError as error:
        raise GlscertError(f"a part of the work was lost on the Ray cluster: {error}") from None
    finally:
        ray.shutdown()


def _alone(work: Callable[[Any], Any], part: Any) -> tuple[Any, GlscertError | None]:
    """What a worker of the cluster does with a part."""
    set_threads(1)
    try:
        return work(part), None
    except GlscertError as error:
        return None, error
