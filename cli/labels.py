"""The option that says which column of a table holds the labels, the same for all commands that read one."""

from typing import Any

import typer


def label_option(panel: str | None = None) -> Any:
    """panel: of the help, where the command has several."""
    return typer.Option(
        metavar="NAME|first|last",
        help="The column of a .csv that holds the labels.",
        show_default="the one called so, else the last",
        rich_help_panel=panel,
    )
