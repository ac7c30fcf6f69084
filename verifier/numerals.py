"""Numbers as a file or a command line writes them: digits, a sign, a point, an exponent; nan and inf."""

from collections.abc import Sequence

TEXT_LABELS = (
    "a network's file does not name its classes: give their numbers 0 … K - 1, in the order of its scores"  # of labels
)


def number(text: str) -> float:
    """Raises ValueError where it is none, of which Python's own are some: 1_0, digits of other scripts."""
    try:
        if "_" not in text and text.isascii():
            return float(text)
    except ValueError:
        pass
    raise ValueError(f"{text.strip()[:40]!r} is no number" if text.strip() else "a cell is empty")


def numbers(cells: Sequence[str]) -> list[float]:
    """`number` of each, quickly."""
    try:
        together = "".join(cells)
        if "_" not in together and together.isascii():
            return [float(cell) for cell in cells]
    except ValueError:
        pass
    return [number(cell) for cell in cells]


def ratio(text: str) -> float:
    """A decimal or a fraction, as papers write eps. Raises ValueError where it is neither, or divides by 0."""
    upper, slash, lower = text.partition("/")
    try:
        if slash and "_" not in text and text.isascii():
            return int(upper) / int(lower)
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    return number(text)
