"""What the bounds of a network are computed with, in a sentence."""

from typing import TYPE_CHECKING

from . import render

if TYPE_CHECKING:
    from glscert.verifier import Network
    from glscert.verifier.run.jobs import Jobs


def described(not_compiled: str | None) -> str:
    """not_compiled: why there is no compiled program; None where there is one."""
    if not_compiled is None:
        return "bounds are computed by the compiled program"
    return f"bounds are computed in numpy, which takes longer, because {not_compiled}"


def say(network: "Network", jobs: "Jobs | None" = None) -> None:
    """On stderr, with how many share it."""
    from glscert.verifier.engine.threads import threads

    if jobs is not None and jobs.ray is not None:
        shared = f"on the Ray cluster {jobs.ray}, one thread in each process"
    elif jobs is not None and jobs.count > 1:
        shared = f"{jobs.count} processes, one thread in each"
    else:
        shared = f"{threads()} thread{'s' if threads() > 1 else ''}"
    render.logs().print(f"{described(network.engine.why)}; {shared}.", markup=False)
