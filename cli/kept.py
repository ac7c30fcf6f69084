"""What `--out` keeps of properties, and what is believed of it by the next run."""

import hashlib
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glscert.verifier.errors import GlscertError

if TYPE_CHECKING:
    from glscert.verifier.answers import Answers
    from glscert.verifier.decision import Decision
    from glscert.verifier.graph import Model
    from glscert.verifier.replay import Runtime


def still_open(
    answers: "Answers", digests: "dict[Path, str]", model: "Model", runtime: "Runtime"
) -> tuple[list[Path], "dict[Path, Decision]"]:
    """The properties to decide, and the answers to the others, whose witnesses onnxruntime is asked for again. Where
    the nearest float32 number stands for an input, sat is decided again: exact arithmetic had confirmed it.

    Raises InputError where a witness is none.
    """
    from glscert.verifier.spec import read_query

    graph = model.graph
    todo: list[Path] = []
    known: dict[Path, Decision] = {}
    for path, digest in digests.items():
        verdict = answers.decided(path.name, digest)
        if verdict == "sat":
            query = read_query(path, prod(graph.input_shape), graph.answers, graph.held)
            answers.recheck(path.name, query, graph.input_shape, runtime)
            verdict = None if query.nearest else verdict
        if verdict is None:
            todo.append(path)
        else:
            known[path] = answers.decision(path.name)
    return todo, known


def digest(path: Path) -> str:
    """SHA-256 of the file, a piece at a time."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            found.update(piece)
    return found.hexdigest()


def entry(decision: "Decision") -> dict[str, Any]:
    witness, bound = decision.witness, decision.bound
    return {
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "seconds": round(decision.seconds, 3),
        "visited": decision.visited,
        "bound": bound if bound is not None and isfinite(bound) else None,
        "nearest": list(decision.nearest),
        "witness": None if witness is None else {"x": witness.x.tolist(), "y": witness.y.tolist()},
    }


def refused(error: GlscertError) -> dict[str, Any]:
    unknown: dict[str, Any] = {"seconds": 0.0, "visited": 0, "bound": None, "nearest": [], "witness": None}
    return {"verdict": "error", "reason": str(error), **unknown}


def header(model: Path, sha256: str, timeout: float, seed: int) -> dict[str, Any]:
    from glscert.verifier.record import versions

    return {
        "model": {"path": str(model), "sha256": sha256},
        "settings": {"timeout": timeout, "seed": seed},
        "versions": versions(),
    }
