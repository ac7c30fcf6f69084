"""Labelled images for training and verifying: digits, MNIST, CIFAR-10 and TinyImageNet, from local files first.

    load_dataset("mnist", "test", Path("data")) -> Dataset(x [N, *v] in [0, 1], y [N], name, classes)

Where no file is found, torchvision may download one into the folder; without it, or without a network, the message
says which files were looked for and where.
"""

import gzip
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple
from urllib.error import URLError

import numpy as np

from .errors import InputError, MissingDataError
from .tiny_imagenet import CLASSES as TINY_IMAGENET_CLASSES
from .tiny_imagenet import read_tiny_imagenet

DEFAULT_DIR = Path("data")
CLASSES = 10
DIGITS_TRAIN = 1437  # of 1,797: four fifths
WITHOUT_FILES = ("digits",)  # they come with a package
MOST_IMAGES = 1_000_000  # no set here is larger: a header that says so is damaged


class Dataset(NamedTuple):
    """x [N, *v] float32 in [0, 1], or uint8 where asked for; y [N] int64 in 0 … classes - 1."""

    x: np.ndarray
    y: np.ndarray
    name: str
    classes: int


def load_dataset(name: str, split: str, data_dir: Path | None = None, *, as_bytes: bool = False) -> Dataset:
    """The `split` ("train" or "test") of the data set `name`, a key of `DATASETS`; `data_dir` defaults to `data`.

    as_bytes: leave x in uint8, of which 255 stands for 1, where the set is so large that this matters (TinyImageNet).

    Raises InputError: an unknown name or split, a folder that is none, files missing or damaged.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set named {name!r} (known: {', '.join(DATASETS)}).")
    if split not in ("train", "test"):
        raise InputError(f"there is no split named {split!r} (known: train, test).")
    folder = DEFAULT_DIR if data_dir is None else Path(data_dir)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the data folder {folder} is not a folder; name the folder that holds the files.")
    x, y = DATASETS[name](split, folder)
    classes = TINY_IMAGENET_CLASSES if name == "tinyimagenet" else CLASSES
    if y.size == 0 or y.min() < 0 or y.max() >= classes:
        raise InputError(f"the {split} labels of {name} in {folder} not all in 0 … {classes - 1}; fetch them anew.")
    if x.dtype == np.uint8 and not as_bytes:
        x = x.astype(np.float32) / 255
    return Dataset(x, y.astype(np.int64), name, classes)


def _digits(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 8x8 digits inside scikit-learn (Alpaydin and Kaynak, 1998); no file is read from `folder`.

    Split by one fixed permutation (legacy generator, seed 0, whose stream numpy keeps frozen): the first 1,437 train.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDataError(
            "the digits come with scikit-learn, which is not installed; pip install 'glscert[train]'."
        ) from None
    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(x))
    chosen = order[:DIGITS_TRAIN] if split == "train" else order[DIGITS_TRAIN:]
    return (x[chosen] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[chosen]


def _mnist(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    prefix = "train" if split == "train" else "t10k"
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    places = (folder, folder / "MNIST" / "raw", folder / "mnist")
    found = [_find(name, places) for name in names]
    if None in found:
        missing = [f"{name}[.gz]" for name, path in zip(names, found, strict=True) if path is None]
        _download("MNIST", split, folder, missing, places)
        found = [_find(name, places) for name in names]
    images, labels = (read_idx(path) for path in found if path is not None)
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise InputError(
            f"{found[0]} holds {images.shape} and {found[1]} {labels.shape}; "
            "expected N x 28 x 28 images and N labels. Fetch the files anew."
        )
    return images[:, None].astype(np.float32) / 255, labels


def _find(name: str, places: tuple[Path, ...]) -> Path | None:
    return next((p for place in places for p in (place / name, place / f"{name}.gz") if p.is_file()), None)


def read_idx(path: Path) -> np.ndarray:
    """A uint8 IDX file (LeCun's format), plain or gzipped; the header is held against the bytes before they are kept.

    Raises InputError: not an IDX file of bytes, or one that is shorter or longer than its header says.
    """
    opener: Callable[..., IO[bytes]] = gzip.open if path.suffix == ".gz" else open  # type: ignore[assignment]
    try:
        with opener(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\x00\x00\x08" or not 1 <= magic[3] <= 4:
                raise InputError(f"{path} is not an IDX file of bytes (it starts with {magic.hex() or 'nothing'}).")
            sizes = file.read(4 * magic[3])
            header = np.frombuffer(sizes[: len(sizes) // 4 * 4], dtype=">u4")
            if len(header) < magic[3] or header[0] > MOST_IMAGES or any(int(n) > 4096 for n in header[1:]):
                raise InputError(f"the header of {path} is damaged (sizes {header.tolist()}); fetch the file anew.")
            shape = tuple(int(n) for n in header)
            expected = int(np.prod(shape, dtype=np.int64))
            data = file.read(expected + 1)  # one more, to notice a file that goes on
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); fetch the file anew.") from None
    if len(data) != expected:
        size = f"more than {expected}" if len(data) > expected else str(len(data))
        raise InputError(f"the header of {path} announces {expected} bytes of data, it holds {size}.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _cifar10(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    path = folder / "cifar10_small.npz"
    if path.is_file():
        x, y = _read_npz(path, f"{split}_x"), _read_npz(path, f"{split}_y")
        if x.ndim != 4 or x.shape[1:] != (32, 32, 3) or y.shape != x.shape[:1]:
            raise InputError(
                f"{path} holds {split}_x {x.shape} and {split}_y {y.shape}; expected N x 32 x 32 x 3 and N labels."
            )
    else:
        places = (folder / "cifar-10-batches-py",)
        data = _download("CIFAR10", split, folder, [path.name, "cifar-10-batches-py/"], (folder, *places))
        x, y = np.asarray(data.data), np.asarray(data.targets)  # type: ignore[attr-defined]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)).astype(np.float32) / 255, y


def _read_npz(path: Path, member: str) -> np.ndarray:
    """One uint8 array of an .npz file, its header read before its data; nothing pickled is ever loaded."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != np.uint8 or len(shape) not in (1, 4) or shape[0] > MOST_IMAGES or max(shape[1:], default=0) > 4096:
            raise InputError(f"{member} in {path} is {dtype} {shape}; expected uint8 images or labels.")
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[member]
    except KeyError:
        raise InputError(f"{path} has no array {member}; expected train_x, train_y, test_x, test_y.") from None
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a readable .npz file ({error}); fetch it anew.") from None


def _download(dataset: str, split: str, folder: Path, missing: list[str], places: tuple[Path, ...]) -> object:
    """torchvision's copy of `dataset`, from `folder` or downloaded into it."""
    looked = f"{', '.join(missing)} not found in {', '.join(str(place) for place in places)}"
    try:
        from torchvision import datasets
    except ImportError:
        raise MissingDataError(
            f"{looked}, and torchvision, which could download them, is not installed. "
            "Put the files there, name their folder with --data-dir, or pip install 'glscert[train]'."
        ) from None
    try:
        return getattr(datasets, dataset)(str(folder), train=split == "train", download=True)
    except (RuntimeError, URLError, ConnectionError, TimeoutError) as error:  # the network; a full disk passes on
        reason = str(error).splitlines()[0].rstrip(":")
        raise MissingDataError(
            f"{looked}, and the download failed ({reason}). Put the files there or name their folder with --data-dir."
        ) from None


DATASETS: dict[str, Callable[[str, Path], tuple[np.ndarray, np.ndarray]]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar10": _cifar10,
    "tinyimagenet": read_tiny_imagenet,
}
