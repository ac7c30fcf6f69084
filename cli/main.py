"""`glscli`: one command per file; this file assembles them and turns whatever goes wrong into a sentence.

A command's module is imported when the command is asked for, and imports torch only when it runs, so that `--help`
answers at once.
"""

import gc
import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from . import clock
from .failures import describe
from .memory import keep_freed_memory

# Threads that wait give their core away. Read when torch is loaded: spinning ones slow each other threefold where
# other programs want the cores too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Module of this folder -> its function `command`, in the order of a first use.
COMMANDS = (
    "demo", "train", "export", "verify", "check", "gate", "inspect", "supports", "compare", "tightness", "landscape",
)  # fmt: skip

EXIT_CODES = (
    "Exit codes: 0 done, all verified (unsat) or policy met; 1 something falsified (sat) or misclassified, policy "
    "missed, or an answer of a certificate refused; 2 bad usage or input; 3 undecided; 4 not supported; 5 internal "
    "error or failed write; 130 interrupted."
)


class LazyGroup(TyperGroup):
    """Knows the names of the commands, and imports one when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"glscert.cli.{cmd_name}")
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name, epilog=EXIT_CODES)(module.command)
        return typer.main.get_command(single)


app = typer.Typer(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("glscert"))
        raise typer.Exit()


def _print_name(wanted: bool) -> None:
    if wanted:
        typer.echo("glscert")
        raise typer.Exit()


def _ask_for_traceback(wanted: bool) -> None:
    if wanted:
        os.environ["GLSCLI_TRACEBACK"] = "1"


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    name: bool = typer.Option(False, "--name", callback=_print_name, is_eager=True, help="Print the verifier's name."),
    debug: bool = typer.Option(
        False, "--debug", callback=_ask_for_traceback, is_eager=True, help="Show the Python traceback of any error."
    ),
) -> None:
    """Train small networks that provably resist perturbed inputs, export them as ONNX, verify them from the file."""


def main() -> None:
    """The console script. Every ending is an exit code of `EXIT_CODES`."""
    keep_freed_memory()
    try:
        with clock.counting():
            app(prog_name="glscli")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the one place that answers for all of them
        if os.environ.get("GLSCLI_TRACEBACK"):
            import traceback

            traceback.print_exception(error)
        sentence, code = describe(error)
        typer.echo(f"glscli: {sentence}", err=True)
        sys.exit(code)
    finally:
        gc.freeze()  # what is left goes with the process: to look through it all again takes half a second


if __name__ == "__main__":
    main()
