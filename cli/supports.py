"""`glscli supports`: what a tool may ask about the verifier, as VNN-LIB's standard lays it down."""

from collections.abc import Callable
from typing import Annotated

import typer

from glscert.verifier.errors import InputError


def _operators() -> list[str]:
    from glscert.verifier.graph.ending import ENDINGS
    from glscert.verifier.graph.translate import TRANSLATIONS

    return sorted({*TRANSLATIONS, *ENDINGS})


def _opsets() -> list[str]:
    from glscert.verifier.graph.proto import OPSETS

    return [str(OPSETS.start), str(OPSETS.stop - 1)]


CAPABILITIES: dict[str, Callable[[], list[str]]] = {
    "vnnlib_versions": lambda: ["1.0", "2.0"],
    "onnx_opset_versions": _opsets,
    "onnx_element_types": lambda: ["real", "float32", "float64"],
    "onnx_operators": _operators,
    "hidden_node_theories": lambda: ["NH"],
    "multiple_input_output_theories": lambda: ["SIO"],
    "multiple_network_theories": lambda: ["SNET"],
    "multiple_node_comparison_theories": lambda: ["SNC", "MNC"],
    "arithmetic_complexity_theories": lambda: ["BND", "OUTC", "LIN"],
    "optimised_disjunctive_reasoning": lambda: ["false"],
    "serialise_assignments": lambda: ["true"],
    "unsat_proofs": lambda: ["false"],
}


def command(
    context: typer.Context,
    vnnlib_versions: Annotated[bool, typer.Option("--vnnlib-versions", help="Oldest and newest.")] = False,
    onnx_opset_versions: Annotated[bool, typer.Option("--onnx-opset-versions", help="Oldest and newest.")] = False,
    onnx_element_types: Annotated[bool, typer.Option("--onnx-element-types", help="Analysed soundly.")] = False,
    onnx_operators: Annotated[bool, typer.Option("--onnx-operators", help="By name.")] = False,
    hidden_node_theories: Annotated[bool, typer.Option("--hidden-node-theories")] = False,
    multiple_input_output_theories: Annotated[bool, typer.Option("--multiple-input-output-theories")] = False,
    multiple_network_theories: Annotated[bool, typer.Option("--multiple-network-theories")] = False,
    multiple_node_comparison_theories: Annotated[bool, typer.Option("--multiple-node-comparison-theories")] = False,
    arithmetic_complexity_theories: Annotated[bool, typer.Option("--arithmetic-complexity-theories")] = False,
    optimised_disjunctive_reasoning: Annotated[bool, typer.Option("--optimised-disjunctive-reasoning")] = False,
    serialise_assignments: Annotated[bool, typer.Option("--serialise-assignments")] = False,
    unsat_proofs: Annotated[bool, typer.Option("--unsat-proofs")] = False,
) -> None:
    """Print a capability of the verifier for other tools, one item per line.

    Example: glscli supports --onnx-operators
    """
    asked = [name for name in CAPABILITIES if context.params[name]]
    if len(asked) != 1:
        known = ", ".join(f"--{name.replace('_', '-')}" for name in CAPABILITIES)
        raise InputError(f"glscli supports answers one of {known}; {len(asked)} are given.")
    typer.echo("\n".join(CAPABILITIES[asked[0]]()))
