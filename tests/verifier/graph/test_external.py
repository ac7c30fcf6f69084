"""Weights in files beside the model: the default of torch.onnx.export, and what may be wrong with them."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from glscert.verifier import load
from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.graph import load_model
from glscert.verifier.graph.read import read_model
from onnx_models import make, mlp, mlp_consts, mlp_nodes, node, weight

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)


def save(path: Path, proto: onnx.ModelProto | None = None, **options: object) -> Path:
    """The model, all of its weights in `weights.bin` beside it."""
    options = {"location": "weights.bin", "size_threshold": 0, **options}
    onnx.save(proto or mlp(), path, save_as_external_data=True, **options)
    return path


def changed(folder: Path, change: Callable[[TensorProto], object]) -> Path:
    """The model with the place of its first weight changed."""
    path = save(folder / "m.onnx")
    proto = onnx.load(path, load_external_data=False)
    change(weight(proto, "w1"))
    path.write_bytes(proto.SerializeToString())
    return path


def placed(**entries: str) -> Callable[[TensorProto], object]:
    def change(tensor: TensorProto) -> None:
        kept = {entry.key: entry.value for entry in tensor.external_data} | entries
        del tensor.external_data[:]
        for key, value in kept.items():
            tensor.external_data.add(key=key, value=value)

    return change


def same(first: Path, second: Path) -> None:
    one, other = load(first), load(second)
    assert one.graph == other.graph
    assert all((one.engine.params[name] == other.engine.params[name]).all() for name in other.engine.params)
    np.testing.assert_array_equal(one.runtime.logits(X), other.runtime.logits(X))


def plain(folder: Path) -> Path:
    path = folder / "plain.onnx"
    path.write_bytes(mlp().SerializeToString())
    return path


def test_the_same_network(tmp_path: Path) -> None:
    same(save(tmp_path / "m.onnx"), plain(tmp_path))


def test_a_file_for_each_weight_in_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = save(tmp_path / "m.onnx", location="w/all")
    assert not (tmp_path / "weights.bin").exists()
    same(path, plain(tmp_path))


def test_a_packed_model_beside_its_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx")
    packed = tmp_path / "m.onnx.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    same(packed, plain(tmp_path))


def test_a_place_without_a_length(tmp_path: Path) -> None:
    def shorten(tensor: TensorProto) -> None:
        kept = [(entry.key, entry.value) for entry in tensor.external_data if entry.key == "location"]
        del tensor.external_data[:]
        for key, value in kept:
            tensor.external_data.add(key=key, value=value)

    assert weight(onnx.load(changed(tmp_path, shorten), load_external_data=False), "w1").external_data[0].value
    same(tmp_path / "m.onnx", plain(tmp_path))


def test_a_constant_node(tmp_path: Path) -> None:
    data = np.arange(6, dtype=np.float32)
    (tmp_path / "c.bin").write_bytes(data.tobytes())
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[6], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="c.bin")
    proto = make([node("Constant", "", "c", value=value), node("Add", "x c", "y")], ["batch", 6], {})
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(load(path).runtime.logits(X), X + data)


def test_the_digest_covers_the_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx")
    before = read_model(path).sha256
    assert load(path).runtime.sha256 == before
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert read_model(path).sha256 != before


def linked(folder: Path) -> Path:
    """The weights are a link out of the folder."""
    (folder / "inside").mkdir()
    path = save(folder / "inside" / "m.onnx")
    (folder / "inside" / "weights.bin").rename(folder / "elsewhere")
    (folder / "inside" / "weights.bin").symlink_to(folder / "elsewhere")
    return path


def queue(folder: Path) -> Path:
    """Opening it would wait for ever."""
    path = save(folder / "m.onnx")
    (folder / "weights.bin").unlink()
    os.mkfifo(folder / "weights.bin")
    return path


def cut(folder: Path) -> Path:
    path = save(folder / "m.onnx")
    (folder / "weights.bin").write_bytes((folder / "weights.bin").read_bytes()[:-1])
    return path


def no_text(folder: Path) -> Path:
    """The place is no UTF-8."""
    path = save(folder / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"weights.bin", b"weights\xffbin"))
    return path


def missing(folder: Path) -> Path:
    path = save(folder / "m.onnx")
    (folder / "weights.bin").unlink()
    return path


def renamed(location: str) -> Callable[[Path], Path]:
    return lambda folder: changed(folder, placed(location=location))


HOSTILE: dict[str, tuple[Callable[[Path], Path], type[GlscertError], str]] = {
    "a link": (linked, UnsupportedError, "'weights.bin', a link out of"),
    "above": (renamed("../weights.bin"), UnsupportedError, "own folder"),
    "above, later": (renamed("w/../../weights.bin"), UnsupportedError, "own folder"),
    "absolute": (renamed("/etc/passwd"), UnsupportedError, "own folder"),
    "of another system": (renamed("C:\\weights.bin"), UnsupportedError, "own folder"),
    "above, of another system": (renamed("..\\weights.bin"), UnsupportedError, "own folder"),
    "no name": (renamed(""), UnsupportedError, "own folder"),
    "a null character": (renamed("weights\0.bin"), UnsupportedError, "own folder"),
    "no text": (no_text, InputError, "a name in it is not text"),
    "a folder": (renamed("."), InputError, "'.'"),
    "a queue": (queue, InputError, "another one or cut short"),
    "a file cut short": (cut, InputError, "which has .* cut short"),
    "no file": (missing, InputError, "Put that file beside"),
    "a negative place": (lambda folder: changed(folder, placed(offset="-4")), InputError, "states '-4' for a place"),
    "a place that is no number": (lambda folder: changed(folder, placed(offset="1e3")), InputError, "states '1e3'"),
    "a place beyond the end": (lambda folder: changed(folder, placed(offset="4096")), InputError, "cut short"),
    "another length": (lambda folder: changed(folder, placed(length="8")), InputError, "takes 120 bytes and states 8"),
    "a shape beyond all memory": (
        lambda folder: changed(folder, lambda tensor: tensor.dims.append(2**40)),
        InputError,
        "holds more than is read",
    ),
    "a negative shape": (
        lambda folder: changed(folder, lambda tensor: tensor.dims.append(-1)),
        InputError,
        "declares the shape",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    build, kind, words = HOSTILE[case]
    with pytest.raises(kind, match=words) as caught:
        load_model(build(tmp_path))
    assert str(tmp_path) in str(caught.value) and str(caught.value).endswith(".")


def test_sizes_are_bounded_together(tmp_path: Path) -> None:
    proto = make(mlp_nodes(), ("batch", 6), {**mlp_consts(), "more": np.zeros(3000, np.float32)})
    path = save(tmp_path / "m.onnx", proto)
    assert path.stat().st_size < 5000
    with pytest.raises(InputError, match="'more'.*more than is read"):
        load_model(path, max_bytes=10_000)
    assert load_model(path, max_bytes=20_000).graph.output_shape == (3,)
