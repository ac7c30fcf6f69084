"""What a user types, or a model's metadata says, as numbers: a radius, a range, a slice."""

from collections.abc import Collection
from math import isfinite
from typing import TYPE_CHECKING

from glscert.verifier.errors import InputError
from glscert.verifier.numerals import ratio

if TYPE_CHECKING:
    from glscert.verifier.region import Norm


def parse_eps(given: str | None, own: str | None) -> list[float]:
    """A radius such as 0.1 or 2/255, or one for each entry, from the command line or else from the model."""
    text = given if given is not None else own
    if text is None:
        raise InputError("the model names no eps; give the radius with --eps, such as --eps 0.1 or --eps 2/255.")
    values = parse_ratios(text if given is not None else ",".join(text.split()))
    for value in values:
        if not isfinite(value) or value < 0:
            raise InputError(f"--eps {text} must be finite and not negative.")
    return values


def parse_norm(given: str | None, own: str | None) -> "Norm":
    """The norm of the ball from the command line, else from the model, else l∞; 2 and l2 are the same."""
    from glscert.verifier.region import Norm

    names = {each: norm for norm in Norm for each in (norm.value, norm.value[1:])}
    text = given if given is not None else own if own is not None else Norm.LINF.value
    if text not in names:
        raise InputError(f"--norm {text} is not supported; supported: inf, 2, 1.")
    return names[text]


def parse_ratios(text: str) -> list[float]:
    """Radii separated by commas, often one."""
    return [parse_ratio(part) for part in text.split(",")]


def parse_ratio(text: str, option: str = "--eps") -> float:
    """A decimal or a fraction, as papers write eps."""
    try:
        return ratio(text)
    except ValueError:
        raise InputError(f"{option} {text} is not a number; write 0.1 or 2/255.") from None


def parse_options(given: list[str]) -> dict[str, float | bool | str]:
    """Options NAME=VALUE by name; numbers, true and false as such, the rest as text."""
    found: dict[str, float | bool | str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError(f"--option {text} is not NAME=VALUE; write --option alpha=0.1.")
        try:
            found[name] = {"true": True, "false": False}[value] if value in ("true", "false") else float(value)
        except ValueError:
            found[name] = value
    return found


def parse_names(given: str | None, known: Collection[str], option: str) -> list[str]:
    """Names out of `known`, separated by commas, each once; all of them where none is given."""
    if given is None:
        return list(known)
    names = list(dict.fromkeys(given.replace(",", " ").split()))
    strange = [name for name in names if name not in known]
    if strange or not names:
        raise InputError(f"{option} {given}: {(strange or ['nothing'])[0]} is not known (known: {', '.join(known)}).")
    return names


def parse_numbers(given: str, option: str) -> list[float]:
    """Positive numbers separated by commas."""
    values = [parse_ratio(part, option) for part in given.replace(",", " ").split()]
    if not values or not all(isfinite(value) and value > 0 for value in values):
        raise InputError(f"{option} {given}: give positive numbers, such as 1e-4 or 1e-4,1e-3.")
    return values


def parse_range(text: str) -> tuple[float, float]:
    """The valid input range that a user states."""
    if text == "none":
        return float("-inf"), float("inf")
    lows, highs = read_ranges(text.replace(",", " "))
    if len(lows) > 1:
        raise InputError(f"--range {text} is not two numbers; write --range 0,1 or --range none.")
    return lows[0], highs[0]


def read_ranges(text: str) -> tuple[list[float], list[float]]:
    """Ends of the range, or of each entry's, from a model's metadata: low high low high …"""
    try:
        ends = [float(part) for part in text.split()]
    except ValueError:
        ends = []
    if not ends or len(ends) % 2:
        raise InputError(f"the input range {text!r} is not two numbers; write --range 0,1 or --range none.")
    if not all(low < high for low, high in zip(ends[::2], ends[1::2], strict=True)):
        raise InputError(f"the input range {text!r} is empty; write the lower end first.")
    return ends[::2], ends[1::2]


def parse_slice(images: str | None, count: int) -> tuple[int, int]:
    """first:last of `count` inputs, either end left out at will, or the number of one input; last may lie beyond."""
    if images is None:
        return 0, count
    start, colon, stop = images.partition(":")
    try:
        first = int(start) if start or not colon else 0
        last = (int(stop) if stop else count) if colon else first + 1
    except ValueError:
        raise InputError(f"--images {images} is not first:last, such as 0:1000.") from None
    if not 0 <= first < last or first >= count:
        raise InputError(f"--images {images} selects nothing of {count} inputs; write first:last within 0:{count}.")
    return first, min(last, count)
