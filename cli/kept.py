"""What `--out` keeps of properties, and what is believed of it by the next run."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glscert.verifier.files import sha256 as digest

__all__ = ["digest", "header", "still_open"]

if TYPE_CHECKING:
    from glscert.verifier import Answer, Network
    from glscert.verifier.answer.query_record import QueryRecord
    from glscert.verifier.settings import Effort


def still_open(
    record: "QueryRecord", paths: Sequence[Path], network: "Network"
) -> tuple[list[Path], "dict[Path, Answer]"]:
    """The properties to decide, and the answers to the others, whose witnesses onnxruntime is asked for again. Where
    the nearest float32 number stands for an input, sat is decided again: exact arithmetic had confirmed it.

    Raises InputError where a witness is none.
    """
    from glscert.verifier.spec import read_query

    graph = network.graph
    todo: list[Path] = []
    known: dict[Path, Answer] = {}
    for path in paths:
        entry = record.entries.get(path.name)
        if entry is not None and entry["verdict"] == "sat":
            query = read_query(path, prod(graph.input_shape), graph.answers, graph.held)
            record.recheck(path.name, query, graph.input_shape, network.runtime)
            if query.nearest:
                del record.entries[path.name]
        if path.name in record.entries:
            known[path] = record.answer(path.name)
        else:
            todo.append(path)
    return todo, known


def header(model: Path, network: "Network", effort: "Effort") -> dict[str, Any]:
    from glscert.verifier.answer.record import versions

    return {
        "model": {"path": str(model), "sha256": network.runtime.sha256},
        "settings": {"timeout": effort.timeout, "seed": effort.seed, "arithmetic": network.arithmetic.value},
        "versions": versions(),
    }
