"""Parts of the work on a Ray cluster, which does again what a lost process was at."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import uuid4

from ..engine.threads import set_threads
from ..errors import GlscertError, InputError
from .parts import TRIES, Begin, Common, Found, Part, Work

_AHEAD = 2  # parts for each processor that wait
LOCAL = "local"


def on_cluster(
    begin: Begin[Common, Part, Found], common: Common, parts: Iterable[Part], address: str, count: int
) -> Iterator[tuple[int, Found]]:
    """As `jobs.spread`. address: as Ray has it, "auto" among them, or "local" for `count` processes here."""
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs the package ray; install glscert[train], or use --jobs.") from None
    with _joined(address, count):
        # in a list, since Ray would hand over the contents of what is given by itself
        shared, todo = (uuid4().hex, [ray.put((begin, common))]), iter(parts)
        ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        remote = ray.remote(num_cpus=1, max_retries=TRIES)(_do)
        running: list[Any] = []
        while True:
            running += [remote.remote(*shared, part) for part in islice(todo, ahead - len(running))]
            if not running:
                return
            done, running = ray.wait(running)
            try:
                told, error = ray.get(done[0])
            except ray.exceptions.RayError as lost:
                raise GlscertError(
                    f"a part of the work was lost on the Ray cluster: {str(lost).strip().splitlines()[0]}"
                ) from None
            yield from told
            if error is not None:
                raise error


@contextmanager
def _joined(address: str, count: int) -> Iterator[None]:
    """In the cluster, unless the program is in one already. Nothing of Ray's reaches stdout or leaves the machines.
    Raises InputError where there is none."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"address": "local", "num_cpus": count} if address == LOCAL else {"address": address}
    try:
        ray.init(
            **own, include_dashboard=False, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"cannot reach a Ray cluster at {address}: {' '.join(str(error).split())} Start one with "
            "`ray start --head`, or give --ray local."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


_latest: dict[str, "Work[Any, Any]"] = {}  # of a process of the cluster, by the run's key


def _do(key: str, shared: list[Any], part: Any) -> tuple[list[Any], GlscertError | None]:
    """What a process of the cluster makes of a part, up to where it fails."""
    told: list[Any] = []
    try:
        if key not in _latest:
            import ray

            set_threads(1)
            begin, common = ray.get(shared[0])
            _latest.clear()
            _latest[key] = begin(common)
        told.extend(_latest[key](part))
    except GlscertError as error:
        return told, error
    return told, None
