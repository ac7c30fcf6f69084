"""The Ray cluster that evotorch's actors live in: started quietly, or the one already there."""

import logging
import os

from glscert.verifier.errors import InputError


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
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads it from nowhere else
        try:
            ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False, logging_level=logging.ERROR)
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
