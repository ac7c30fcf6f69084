"""What a program calls: a network and a property in, a `Decision` out."""

from math import prod
from pathlib import Path

from .decide import Decision, Progress, decide
from .network import Network, load
from .settings import Effort
from .spec import Query, count_inputs, read_query


def verify(
    network: Network | Path | str,
    query: Query | Path | str,
    *,
    timeout: float = 60.0,
    memory: int = Effort.memory,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Whether the network can do what the query calls unsafe; both may be given as files (`.onnx`, `.vnnlib`).

    timeout: seconds. memory: bytes for coefficients and open subdomains. threads: of torch; None leaves them as they
    are. progress: called with a sentence now and then. Raises `InputError` or `UnsupportedError` for unusable files.
    """
    if not isinstance(network, Network):
        network = load(network, query.inputs if isinstance(query, Query) else count_inputs(query))
    if not isinstance(query, Query):
        query = read_query(query, prod(network.graph.input_shape), network.graph.answers, network.graph.held)
    return decide(network, query, Effort(timeout, memory, seed, threads), progress=progress)
