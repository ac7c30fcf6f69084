"""TinyImageNet (Le and Yang, 2015): 200 classes of 64x64 images, from the standard zip file or a folder.

    tiny-imagenet-200.zip, or the folder tiny-imagenet-200 it unpacks to, or its `train` and `val`, with images in
        train/CLASS/images/NAME.JPEG   or, as torchvision's ImageFolder has them,   train/CLASS/NAME.JPEG
        val/images/NAME.JPEG with the classes in val/val_annotations.txt,   or   val/CLASS/NAME.JPEG

Classes are numbered in the order of their names, images in that of class and name, so that all layouts agree. "test" is
the validation split: the labels of the test images were never published. A zip file is read in place: nothing is
unpacked, so that no path in it leads anywhere.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .errors import InputError, MissingDataError

NAME = "tiny-imagenet-200"
CLASSES = 200
SIDE = 64
MOST_IMAGES = 200_000  # 110,000 in truth
MOST_BYTES = 2**20  # of one file; an image takes 2,000
SUFFIXES = (".jpeg", ".jpg", ".png")
ANNOTATIONS = "val/val_annotations.txt"

Read = Callable[[str], bytes]


def read_tiny_imagenet(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 3, 64, 64] uint8 and labels [N] of the `split` ("train", "test").

    Raises InputError: nothing there, Pillow missing, another layout, images of another size or damaged.
    """
    decode, root = _decoder(), _find(folder)
    part = "train" if split == "train" else "val"
    try:
        if root.is_dir():
            return _load(part, str(root), _listed(root), lambda name: _head(open(root / name, "rb")), decode)
        with zipfile.ZipFile(root) as archive:
            entries = {_inside(name): name for name in archive.namelist()}
            return _load(part, str(root), entries, lambda name: _head(archive.open(entries[name])), decode)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"{root} is damaged ({error}); fetch it anew.") from None


def _find(folder: Path) -> Path:
    places = (folder / NAME, folder / f"{NAME}.zip", folder)
    for place in places:
        if place.is_file() or (place / "train").is_dir() and (place / "val").is_dir():
            return place
    raise MissingDataError(
        f"TinyImageNet not found in {folder}: neither {NAME}.zip nor a folder {NAME} with train and val. Fetch "
        f"http://cs231n.stanford.edu/{NAME}.zip, put it there as it is, or name its folder with --data-dir."
    )


def _listed(root: Path) -> Iterable[str]:
    for part in ("train", "val"):
        for place, _, names in os.walk(root / part):
            inside = Path(place).relative_to(root).as_posix()
            yield from (f"{inside}/{name}" for name in names)


def _inside(name: str) -> str:
    """A member's name below the zip's own top folder."""
    return name.removeprefix(f"{NAME}/")


def _head(file: Any) -> bytes:
    with file:
        return file.read(MOST_BYTES + 1)


def _load(
    part: str, where: str, names: Iterable[str], read: Read, decode: Callable[[bytes], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    images: dict[str, list[tuple[str | None, str]]] = {"train": [], "val": []}
    for count, name in enumerate(names):
        if count > 2 * MOST_IMAGES:
            raise InputError(f"{where} holds more than {2 * MOST_IMAGES} files, which TinyImageNet does not.")
        path = PurePosixPath(name)
        if path.suffix.lower() in SUFFIXES and path.parts[0] in images and len(path.parts) in (3, 4):
            images[path.parts[0]].append((None if path.parts[1] == "images" else path.parts[1], name))
    classes = sorted({known for known, _ in images["train"] if known is not None})
    if len(classes) != CLASSES:
        raise InputError(
            f"{where} holds training images of {len(classes)} classes, TinyImageNet has {CLASSES}; they lie in "
            "train/CLASS/images/NAME.JPEG or train/CLASS/NAME.JPEG."
        )
    number = {name: place for place, name in enumerate(classes)}
    annotated = _annotations(where, read) if any(known is None for known, _ in images[part]) else {}
    found = []
    for known, name in images[part]:
        label = known if known is not None else annotated.get(PurePosixPath(name).name, "nothing")
        if label not in number:
            raise InputError(f"{where}: {name} is of the class {label}, which no training image has.")
        found.append((number[label], PurePosixPath(name).name, name))
    if not 0 < len(found) <= MOST_IMAGES:
        raise InputError(f"{where} holds {len(found)} images in {part}; TinyImageNet has 100,000 and 10,000.")
    found.sort()

    def pixels(entry: tuple[int, str, str]) -> np.ndarray:
        try:
            return decode(read(entry[2]))
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{where}: {entry[2]} is no image of {SIDE} x {SIDE} pixels ({error}).") from None

    x = np.empty((len(found), 3, SIDE, SIDE), np.uint8)
    with ThreadPoolExecutor() as pool:
        for place, image in enumerate(pool.map(pixels, found)):
            x[place] = image
    return x, np.array([label for label, _, _ in found], np.int64)


def _annotations(where: str, read: Read) -> dict[str, str]:
    """Name of a validation image -> its class."""
    try:
        lines = read(ANNOTATIONS).decode().splitlines()
    except (OSError, KeyError, UnicodeDecodeError):
        raise InputError(f"{where} does not hold {ANNOTATIONS}, which names the classes of val/images.") from None
    return {cells[0]: cells[1] for line in lines if len(cells := line.split("\t")) >= 2}


def _decoder() -> Callable[[bytes], np.ndarray]:
    try:
        from PIL import Image
    except ImportError:
        raise InputError("TinyImageNet is read with Pillow, which is missing; pip install 'glscert[train]'.") from None

    def decode(data: bytes) -> np.ndarray:
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        try:
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from None
        with image:
            if image.size != (SIDE, SIDE):  # known from the header, before any pixel takes memory
                raise ValueError(f"{image.size[0]} x {image.size[1]}")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)

    return decode
