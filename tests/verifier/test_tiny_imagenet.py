"""TinyImageNet in each layout it comes in, made of small pictures; and a sentence for each that is none."""

import io
import zipfile

import numpy as np
import pytest
import torch

from glscert.trainer import resolve
from glscert.trainer.setup import prepare
from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError

Image = pytest.importorskip("PIL.Image")
CLASSES = [f"n{number:08d}" for number in range(200)]
VALIDATION = {"val_0.JPEG": 3, "val_1.JPEG": 0, "val_2.JPEG": 199}


def picture(red, kind="PNG", size=(64, 64), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size, (red, 10, 200) if mode == "RGB" else red).save(buffer, kind)
    return buffer.getvalue()


def files(layout):
    """Name -> bytes: one training image of each class, whose red is its class, and three for validation."""
    found = {}
    for number, name in reversed(list(enumerate(CLASSES))):
        inside = f"{name}/images" if layout == "standard" else name
        found[f"train/{inside}/{name}_0.JPEG"] = picture(number)
        if layout == "standard":
            found[f"train/{name}/{name}_boxes.txt"] = b"boxes"
    for name, label in VALIDATION.items():
        inside = "images" if layout == "standard" else CLASSES[label]
        found[f"val/{inside}/{name}"] = picture(label)
    if layout == "standard":
        lines = [f"{name}\t{CLASSES[label]}\t0\t32\t44\t62" for name, label in VALIDATION.items()]
        found["val/val_annotations.txt"] = "\n".join(lines).encode()
        found["test/images/test_0.JPEG"] = b"never read"
    return found


def write_folder(root, found):
    for name, data in found.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def write_zip(path, found, top="tiny-imagenet-200/"):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in found.items():
            archive.writestr(top + name, data)


@pytest.mark.parametrize("layout", ["standard", "torchvision"])
@pytest.mark.parametrize("kind", ["zip", "folder", "itself"])
def test_every_layout_gives_the_same_images(tmp_path, layout, kind):
    if kind == "zip":
        write_zip(tmp_path / "tiny-imagenet-200.zip", files(layout))
    else:
        write_folder(tmp_path / "tiny-imagenet-200" if kind == "folder" else tmp_path, files(layout))
    train, test = (load_dataset("tinyimagenet", split, tmp_path, as_bytes=True) for split in ("train", "test"))
    assert train.x.shape == (200, 3, 64, 64) and train.x.dtype == np.uint8 and train.classes == 200
    assert train.y.tolist() == list(range(200)) == train.x[:, 0, 5, 5].tolist()
    assert test.y.tolist() == [0, 3, 199] and test.x[:, 0, 0, 0].tolist() == [0, 3, 199]
    assert (test.x[:, 1] == 10).all() and (test.x[:, 2] == 200).all()
    numbers = load_dataset("tinyimagenet", "test", tmp_path)
    assert numbers.x.dtype == np.float32 and np.array_equal(numbers.x, test.x.astype(np.float32) / 255)


def test_jpeg_and_grey_pictures(tmp_path):
    found = files("standard")
    found[f"train/{CLASSES[1]}/images/{CLASSES[1]}_0.JPEG"] = picture(77, "JPEG", mode="L")
    write_zip(tmp_path / "tiny-imagenet-200.zip", found)
    x = load_dataset("tinyimagenet", "train", tmp_path).x
    assert np.abs(x[1] * 255 - 77).max() <= 1


def test_training_keeps_bytes_and_sees_numbers(tmp_path):
    write_zip(tmp_path / "tiny-imagenet-200.zip", files("standard"))
    config = resolve({"dataset": "tinyimagenet", "augment": False})
    setup = prepare(config, tmp_path)
    train = load_dataset("tinyimagenet", "train", tmp_path)
    chosen = np.array([5, 0, 199])
    assert np.array_equal(setup.train_images(torch.from_numpy(chosen), 0).numpy(), train.x[chosen])
    assert setup.train_x[:2].dtype == torch.float32 and len(setup.train_x) == 200
    assert setup.net.graph.output_shape == (200,)


def changed(**changes):
    found = files("standard")
    for name, data in changes.items():
        found.pop(name) if data is None else found.update({name: data})
    return found


FIRST = f"train/{CLASSES[0]}/images/{CLASSES[0]}_0.JPEG"


@pytest.mark.parametrize(
    ("split", "changes", "sentence"),
    [
        ("train", {FIRST: None}, "199 classes, TinyImageNet has 200"),
        ("train", {FIRST: b"no image"}, f"{FIRST} is no image of 64 x 64"),
        ("train", {FIRST: picture(0, size=(65, 64))}, "is no image of 64 x 64 pixels .*65 x 64"),
        ("train", {FIRST: picture(0, size=(20_000, 20_000), mode="L")}, "Image size .400000000 pixels. exceeds"),
        ("train", {FIRST: picture(0) + bytes(2**20)}, "more than 1048576 bytes"),
        ("train", {FIRST: picture(0)[:60]}, "is no image"),
        ("test", {"val/val_annotations.txt": None}, "does not hold val/val_annotations.txt"),
        ("test", {"val/val_annotations.txt": b"\xff\xfe"}, "does not hold val/val_annotations.txt"),
        ("test", {"val/val_annotations.txt": b"val_0.JPEG\tn99999999"}, "class n99999999, which no training"),
        ("test", {f"val/images/{name}": None for name in VALIDATION}, "holds 0 images in val"),
    ],
)
def test_what_is_malformed_is_a_sentence(tmp_path, split, changes, sentence):
    write_zip(tmp_path / "tiny-imagenet-200.zip", changed(**changes))
    with pytest.raises(InputError, match=sentence):
        load_dataset("tinyimagenet", split, tmp_path)


def test_paths_in_a_zip_lead_nowhere(tmp_path):
    """Members are read in place under the names they have; nothing is written."""
    (tmp_path / "data").mkdir()
    found = files("standard") | {f"train/{CLASSES[0]}/../../../escaped.JPEG": picture(1), "/etc/escaped.JPEG": b""}
    write_zip(tmp_path / "data" / "tiny-imagenet-200.zip", found)
    assert len(load_dataset("tinyimagenet", "train", tmp_path / "data").x) == 200
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tiny-imagenet-200.zip"]


def test_absent_and_damaged(tmp_path):
    with pytest.raises(InputError, match=r"neither tiny-imagenet-200.zip nor a folder .*cs231n.*--data-dir"):
        load_dataset("tinyimagenet", "train", tmp_path)
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(b"torn")
    with pytest.raises(InputError, match="is damaged"):
        load_dataset("tinyimagenet", "train", tmp_path)
