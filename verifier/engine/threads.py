"""How many threads verifying may use: those of the compiled programs, and of numpy's own products."""

import os

_chosen: int | None = None


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """As `set_threads` said last; else $OMP_NUM_THREADS, as numpy's products take it, else all cores."""
    if _chosen is not None:
        return _chosen
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isascii() and given.isdigit() and int(given) else cores()


def set_threads(count: int) -> None:
    """From here on, for the whole process. Raises ValueError below 1."""
    global _chosen
    if count < 1:
        raise ValueError(f"{count} threads: at least one is needed")
    _chosen = count
    from threadpoolctl import threadpool_limits  # only here: without it numpy has the threads that it takes by itself

    threadpool_limits(count, user_api="blas")
