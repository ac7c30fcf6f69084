"""What may be chosen in a relaxation beyond its name: keyword arguments of its function, with their limits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InputError


class Option(NamedTuple):
    """Its default, whose type it has, and the least and greatest value it may take."""

    default: int | float
    least: int | float
    greatest: int | float


OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "alpha-crown": {"steps": Option(1, 1, 1000), "step_size": Option(0.5, 0.0, 1.0)},
}


def resolve_options(relaxation: str, given: Mapping[str, Any]) -> dict[str, int | float]:
    """All options of a relaxation, `given` ones over the defaults. Raises InputError: unknown, or out of its limits."""
    known = OPTIONS.get(relaxation, {})
    for name, value in given.items():
        if name not in known:
            names = f"its options: {', '.join(known)}" if known else "it has none"
            raise InputError(f"{name} is not an option of the relaxation {relaxation} ({names}).")
        default, least, greatest = known[name]
        kinds = int if isinstance(default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= greatest:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise InputError(f"{name} = {value!r} must be {kind} from {least} to {greatest}.")
    return {name: type(option.default)(given.get(name, option.default)) for name, option in known.items()}
