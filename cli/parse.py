"""What a user types, or a model's metadata says, as numbers: a radius, a range, a slice."""

from math import isfinite

from glscert.verifier.errors import InputError


def parse_eps(given: str | None, own: str | None) -> float:
    """A radius such as 0.1 or 2/255, from the command line or else from the model."""
    text = given if given is not None else own
    if text is None:
        raise InputError("the model names no eps; give the radius with --eps, such as --eps 0.1 or --eps 2/255.")
    value = parse_ratio(text)
    if not isfinite(value) or value < 0:
        raise InputError(f"--eps {text} must be finite and not negative.")
    return value


def parse_ratio(text: str) -> float:
    """A decimal or a fraction, as papers write eps."""
    upper, slash, lower = text.partition("/")
    try:
        return int(upper) / int(lower) if slash else float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"--eps {text} is not a number; write 0.1 or 2/255.") from None


def parse_range(given: str | None, own: str | None) -> tuple[float, float]:
    """The valid input range; its ends are taken as float32 numbers, as the inputs are."""
    if given == "none":
        return float("-inf"), float("inf")
    text = given.replace(",", " ") if given is not None else own or "0 1"
    try:
        low, high = (_nearest_single(float(part)) for part in text.split())
    except ValueError:
        raise InputError(f"the input range {text!r} is not two numbers; write --range 0,1 or --range none.") from None
    if not low < high:
        raise InputError(f"the input range {text!r} is empty; write the lower end first.")
    return low, high


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


def _nearest_single(value: float) -> float:
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.float32(value))
