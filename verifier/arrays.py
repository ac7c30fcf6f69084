"""Arrays of numbers from a user's `.npz` file: sizes are read before memory is taken, nothing is unpickled."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import InputError

MOST_BYTES = 4 * 2**30
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


def read_arrays(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays named, `optional` ones where the file has them.

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
            found = {name: arrays[name] for name in (*needed, *optional) if name in arrays}
    except _UNREADABLE as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error}).") from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: {name} is not a NumPy array; write the file with numpy.savez.")
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise InputError(f"{path}: {name} is {array.dtype} of shape {array.shape}; numbers are needed.")
    return found
