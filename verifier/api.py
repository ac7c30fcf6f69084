"""What a program calls: a network and a property, or labelled inputs, in; answers out."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .answer import Answer
from .engine.threads import set_threads
from .errors import GlscertError
from .network import Network, load
from .region import Entries, Norm
from .run.jobs import Jobs
from .run.labels import robust
from .run.queries import answered
from .settings import Effort, Settings
from .spec import Query, count_inputs

Progress = Callable[[str], None]


def verify(
    network: Network | Path | str,
    query: Query | Path | str,
    *,
    timeout: float = Effort.timeout,
    memory: int = Effort.memory,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Whether the network can do what the query calls unsafe; both may be given as files (`.onnx`, `.vnnlib`).

    timeout: seconds, reading included. memory: bytes for coefficients and open subdomains. threads: None: all cores.
    progress: called with a sentence now and then. Raises `InputError` or `UnsupportedError` for unusable files.
    """
    began = time.perf_counter()
    if threads is not None:
        set_threads(threads)
    if not isinstance(network, Network):
        network = load(network, query.inputs if isinstance(query, Query) else count_inputs(query))
    given = Path(query) if isinstance(query, str) else query
    effort = Effort(timeout, memory, seed, threads)
    ((_, found),) = answered(network, [given], effort, began=began, progress=progress)
    if isinstance(found, GlscertError):
        raise found
    return found


def robustness(
    network: Network | Path | str,
    x: np.ndarray,
    y: np.ndarray | None,
    eps: Entries,
    *,
    low: Entries = 0.0,
    high: Entries = 1.0,
    norm: Norm | str = Norm.LINF,
    threshold: float | None = None,
    tolerance: float | None = None,
    timeout: float = Effort.timeout,
    memory: int = Effort.memory,
    seed: int = 0,
    threads: int | None = None,
    jobs: int = 1,
    ray: str | None = None,
    report: Callable[[int, Answer], None] | None = None,
) -> list[Answer]:
    """Whether the network keeps the label y [N] of each input x [N, *v] within eps, in the range from low to high.

    eps, low, high: one number, or one per entry [*v]. norm: linf, l2 or l1. threshold, tolerance: of a single output
    that tells two classes apart, and of a regression (`Settings`). timeout: seconds for each input, its share of the
    work. jobs: processes that share the inputs, one thread each; a script that asks for several is run again in each,
    so its own work belongs below `if __name__ == "__main__":`. ray: the address of a Ray cluster whose processes they
    are, as `glscli verify --ray` has it. report: called with the place and the answer of each as
    it comes. Raises `InputError` or `UnsupportedError` where the file cannot be used, or x or y do not fit it.
    """
    if threads is not None:
        set_threads(threads)
    if not isinstance(network, Network):
        network = load(network)
    settings = Settings(
        eps, low, high, timeout, memory, seed, Norm(norm), threshold, tolerance,
    )  # fmt: skip
    return robust(network, x, y, settings, report=report, jobs=Jobs(jobs, ray))
