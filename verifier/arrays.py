"""Arrays of numbers that a user gives: from an `.npz` file, sizes read before memory is taken and nothing unpickled;
kept exactly, whatever type they come in; and never laid out anew where that would move a number to another place.
"""

import zipfile
import zlib
from collections.abc import Sequence
from itertools import permutations
from math import prod
from pathlib import Path

import numpy as np

from .errors import InputError
from .numerals import TEXT_LABELS

MOST_BYTES = 4 * 2**30
_MOST_CLASSES = 10**9
# Damage anywhere in a zip file: its frame, its compression, an encrypted entry, a header that claims the impossible.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    SyntaxError,
    MemoryError,
)


def read_arrays(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), *, text: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays named, `optional` ones where the file has them. text: those that may be of text or truth values.

    Raises InputError: not a readable file, more than 4 GiB, an array missing or not of numbers.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise InputError(f"{path} unpacks to more than {MOST_BYTES} bytes; split it.")
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in needed if name not in arrays]
            if missing:
                raise InputError(
                    f"{path} has no array {missing[0]!r}, only {', '.join(arrays) or 'nothing'}; name them "
                    f"{' and '.join(needed)}."
                )
            objects = next((name for name in (*needed, *optional) if name in arrays and _of_objects(path, name)), None)
            if objects is not None:
                raise InputError(
                    f"{path}: {objects} holds Python objects, which are not unpickled. Write it as numbers; of labels "
                    f"that are text, {TEXT_LABELS}."
                )
            found = {name: arrays[name] for name in (*needed, *optional) if name in arrays}
    except _UNREADABLE as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error}).") from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: {name} is not a NumPy array; write the file with numpy.savez.")
        known = name in text and array.dtype.kind in "USb"
        if not known and (not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array)):
            raise InputError(f"{path}: {name} is {array.dtype} of shape {array.shape}; numbers are needed.")
    return found


def _of_objects(path: Path, name: str) -> bool:
    """Whether an array of a zip file is pickled, by its header alone."""
    with zipfile.ZipFile(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            return False
        with archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return bool(read(file)[2].hasobject)


def exact(numbers: np.ndarray, what: str) -> np.ndarray:
    """The same numbers in float32, where it holds every one of them, else in float64.

    Raises InputError: no real numbers, NaN, beyond float32's range, or with more digits than float64 holds.
    """
    kind = numbers.dtype
    if not np.issubdtype(kind, np.number) or np.iscomplexobj(numbers):
        raise InputError(f"{what} are {kind}; real numbers are needed.")
    if np.issubdtype(kind, np.integer) and numbers.size and max(int(numbers.max()), -int(numbers.min())) > 2**53:
        raise InputError(f"{what} hold integers beyond 2^53, which float64 does not hold; scale them.")
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32, copy=False)
    if not np.isfinite(single).all():
        raise InputError(f"{what} hold NaN or values beyond float32; remove them.")
    if np.can_cast(kind, np.float32):
        return single
    double = numbers.astype(np.float64, copy=False)
    if np.issubdtype(kind, np.floating) and kind.itemsize > 8 and not np.array_equal(double, numbers):
        raise InputError(f"{what} are {kind} with more digits than float64 holds; give float64.")
    return single if np.array_equal(single, double) else double


def one_each(labels: np.ndarray, count: int, what: str) -> np.ndarray:
    """Labels [count] as numbers, from a column [count, 1], text of whole numbers or truth values too.

    Raises InputError: another shape, other text, no numbers.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise InputError(f"{what} have shape {_listed(labels.shape)}; of one-hot rows or scores give y.argmax(1).")
    if labels.ndim not in (1, 2):
        raise InputError(f"{what} have shape {_listed(labels.shape)}; give one label per input, [N].")
    labels = labels.reshape(-1)
    if len(labels) != count:
        raise InputError(f"{what} do not fit: {count} inputs but {len(labels)} labels; give one label per input.")
    if labels.dtype.kind in "USO":
        try:
            return np.array([int(label) for label in labels.tolist()], np.int64)
        except (ValueError, TypeError, OverflowError):
            raise InputError(f"{what} are text, such as {str(labels[0])[:40]!r}; {TEXT_LABELS}.") from None
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if not np.issubdtype(labels.dtype, np.number) or np.iscomplexobj(labels):
        raise InputError(f"{what} are {labels.dtype}; give integers.")
    return labels


def as_array(values: object, what: str) -> np.ndarray:
    """Raises InputError where rows have different lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{what} have rows of different lengths; give as many numbers in each.") from None


def whole(labels: np.ndarray, what: str, advice: str = "") -> np.ndarray:
    """The same numbers [N] as int64. Raises InputError where some are no whole numbers, or beyond 10^9."""
    strange = labels[~np.isfinite(labels) | (labels != np.round(labels))]
    if len(strange):
        raise InputError(f"{what} must be one integer per input, and {strange[0]:g} is among them. {advice}".rstrip())
    if len(labels) and (labels.max() > _MOST_CLASSES or labels.min() < -_MOST_CLASSES):
        far = max(labels.max(), labels.min(), key=lambda label: abs(float(label)))
        raise InputError(f"{what} go beyond {_MOST_CLASSES:g}, to {float(far):g}; classes are numbered 0 … K - 1.")
    return labels.astype(np.int64)


def laid_out(x: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """x [N, ...] as [N, *shape]: it has that shape but for axes of length 1, or one side of the two is flat.

    Raises InputError: another shape, or images with their channels last for a network of flat rows.
    """
    if x.ndim == 0:
        raise InputError(f"{what} are a single number; rows of numbers are needed.")
    given = x.shape[1:]
    here, there = ([extent for extent in side if extent != 1] for side in (given, shape))
    fits = prod(given) == prod(shape) and (here == there or len(here) < 2 or len(there) < 2)
    if fits and len(here) > 2 and len(there) < 2 and here[-1] < min(here[:-1]):
        raise InputError(
            f"{what} have shape {_listed(given)}, channels last it seems, and the network takes rows of {prod(shape)} "
            f"numbers; flatten them in the order that it was trained on, x.transpose(0, {len(given)}, "
            f"{', '.join(map(str, range(1, len(given))))}).reshape(len(x), -1) or x.reshape(len(x), -1)."
        )
    if fits:
        return x.reshape(len(x), *shape)
    orders = permutations(range(1, x.ndim)) if sorted(here) == sorted(there) and x.ndim <= 7 else ()
    turned = next((order for order in orders if _reorders(x.shape, order, there)), None)
    if x.shape == shape:
        advice = "a single input goes as x[None]"
    elif turned is not None:
        advice = f"turn them by x.transpose(0, {', '.join(map(str, turned))})"
    else:
        advice = "give that shape, or rows of as many numbers"
    raise InputError(f"{what} have shape {_listed(given)}, the network takes {_listed(shape)}; {advice}.")


def _reorders(shape: tuple[int, ...], order: tuple[int, ...], wanted: list[int]) -> bool:
    return [shape[axis] for axis in order if shape[axis] != 1] == wanted


def _listed(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"
