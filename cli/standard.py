"""The command line that VNN-LIB's standard lays down: `glscli verify QUERY --network NAME=FILE`.

stdout carries sat, unsat, unknown or timed-out, after sat an assignment, and nothing else.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glscert.verifier.errors import GlscertError, InputError, UnsupportedError

from . import arithmetic, clock
from .query import EXIT_CODES, answered, opened, tell_nearest

if TYPE_CHECKING:
    import numpy as np

    from glscert.verifier import Network, Witness
    from glscert.verifier.arithmetic import Arithmetic
    from glscert.verifier.settings import Effort
    from glscert.verifier.spec import Signature


def run_standard(
    query: Path,
    networks: list[str],
    assignments: Path | None,
    effort: "Effort",
    kind: "Arithmetic | None",
    verbose: bool,
) -> int:
    """The exit code. kind: None for what the query's types say. Raises `InputError` where networks are missing or too
    many."""
    from glscert.verifier.spec import assignment, read_signature

    began, declared = clock.began(), read_signature(query)
    model = _network(networks, declared)
    network = opened(model, query, effort, kind or _declared(query, declared))
    if declared is not None:
        _check_types(query, declared, network)
    if verbose:
        arithmetic.say(network)
    ((_, answer),) = answered(network, [query], effort, began=began)
    if isinstance(answer, GlscertError):
        raise answer
    tell_nearest(query, answer)
    verdict = answer.verdict.word
    typer.echo("timed-out" if verdict == "timeout" else verdict)
    if answer.witness is not None:
        if assignments is None:
            typer.echo(assignment(declared, answer.witness.x, answer.witness.y), nl=False)
        else:
            _serialise(assignments, declared, answer.witness)
    return EXIT_CODES[verdict]


def _network(networks: list[str], declared: "Signature | None") -> Path:
    named = [text.partition("=") for text in networks]
    for name, equals, file in named:
        if not (name and equals and file):
            raise InputError(f"--network {name}{equals}{file} is not NAME=FILE; write --network f=model.onnx.")
    wanted = "one network" if declared is None else f"one network, {declared.network}"
    if len(named) != 1 or (declared is not None and named[0][0] != declared.network):
        given = ", ".join(name for name, _, _ in named) or "none"
        example = declared.network if declared is not None else "f"
        raise InputError(f"the query declares {wanted}; given: {given}. Write --network {example}=model.onnx.")
    return Path(named[0][2])


def _declared(query: Path, declared: "Signature | None") -> "Arithmetic":
    """Real numbers, as in version 1, or the network's own."""
    from glscert.verifier.arithmetic import Arithmetic

    tensors = [] if declared is None else [*declared.inputs, *declared.outputs]
    types = {tensor.type.lower() for tensor in tensors} or {"real"}
    if len(types) > 1:
        raise UnsupportedError(
            f"{query} declares variables of several types: {', '.join(sorted(types))}. Declare all Real, or all of the "
            "type that the network computes in."
        )
    return Arithmetic.REAL if types == {"real"} else Arithmetic.FLOAT32


def _check_types(query: Path, declared: "Signature", network: "Network") -> None:
    """Raises UnsupportedError where the network computes in numbers of another type."""
    own = network.runtime.dtype.name
    for tensor in (*declared.inputs, *declared.outputs):
        if tensor.type.lower() not in ("real", own):
            raise UnsupportedError(
                f"{query}: {tensor.name} is declared {tensor.type}; {network.path} computes in {own}. Declare it "
                f"{own}, or Real for a proof in real numbers."
            )


def _serialise(folder: Path, declared: "Signature | None", witness: "Witness") -> None:
    """NAME.pb of each variable, an ONNX TensorProto in its shape."""
    from onnx import numpy_helper

    from glscert.verifier.files import replace_file
    from glscert.verifier.spec import by_tensor

    tensors: dict[str, np.ndarray] = {"X": witness.x, "Y": witness.y}
    if declared is not None:
        pairs = (*by_tensor(declared.inputs, witness.x), *by_tensor(declared.outputs, witness.y))
        tensors = {tensor.name: values.reshape(tensor.shape) for tensor, values in pairs}
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in tensors.items():
        data = numpy_helper.from_array(values, name).SerializeToString()
        replace_file(folder / f"{name}.pb", lambda file, data=data: file.write(data))  # type: ignore[misc]
