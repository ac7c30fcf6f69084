"""The Ray cluster that evotorch's actors live in: started quietly, or the one already there."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from glscert.verifier.errors import GlscertError, InputError

# What processes of the cluster are told, unless the user says otherwise. Ray takes the first from nowhere else; the
# others have glibc keep the megabytes that bounds take and free all the time, which saves a fifth of their work.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}


class Cluster:
    """`close` ends a cluster that `start` started."""

    def __init__(self, own: bool) -> None:
        self._own = own

    def close(self) -> None:
        import ray

        if self._own:
            ray.shutdown()


def start(actors: int, gpus: bool) -> Cluster:
    """A cluster with room for `actors` processes. Raises InputError: fewer GPUs than actors; Ray does not start.

    Nothing of Ray's reaches stdout or leaves the machine: no forwarded logs, no dashboard, no usage statistics.
    Ray's own RAY_ADDRESS names a cluster to join instead.
    """
    import ray

    own = not ray.is_initialized()
    if own:
        try:
            with _environment(ENVIRONMENT):
                ray.init(
                    include_dashboard=False, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR
                )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"Ray could not be started for {actors} actors: {' '.join(str(error).split())}. Train without --actors."
            ) from error
    cluster = Cluster(own)
    found = int(ray.cluster_resources().get("GPU", 0))
    if gpus and found < actors:
        cluster.close()
        raise InputError(f"--actors {actors} on cuda needs as many GPUs, and there are {found}; ask for fewer actors.")
    return cluster


@contextmanager
def failures() -> Iterator[None]:
    """Turns what Ray raises, where an actor dies, into a GlscertError."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        raise GlscertError(
            f"an actor was lost: {str(error).strip().splitlines()[0]} The last checkpoint is kept; go on with "
            "--resume, and with fewer --actors if memory ran out."
        ) from error


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Has child processes that start meanwhile see `values`."""
    new = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in new})
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
