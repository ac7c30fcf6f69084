"""Every format is checked against the checkpoint and put in place whole, or not at all."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from glscert.export import FORMATS, ParityError, artifact, export_model
from glscert.export.parity import max_difference
from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.graph import Model, write_bundle
from glscert.verifier.ops import evaluate
from random_graphs import GRAPHS

NETWORKS = ("conv_chain", "residual", "odd_conv", "normalised", "reshaped")


def network(name: str = "conv_chain") -> Model:
    graph, params = GRAPHS[name](np.random.default_rng(5))
    params = {key: array.astype(np.float32) for key, array in params.items()}
    return Model(graph, params, {"dataset": "digits", "data_dir": "/home/someone"})


def images(model: Model, count: int = 7) -> np.ndarray:
    return np.random.default_rng(1).random((count, *model.graph.input_shape), dtype=np.float32)


def logits(model: Model, x: np.ndarray) -> np.ndarray:
    params = {name: torch.from_numpy(array) for name, array in model.params.items()}
    return evaluate(model.graph, params, torch.from_numpy(x)).numpy()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", *network())
    return tmp_path / "bundle"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_each_format_agrees_for_any_batch(format: str, name: str, tmp_path: Path) -> None:
    model = network(name)
    write_bundle(tmp_path / "bundle", *model)
    target = tmp_path / FORMATS[format].default_name
    report = export_model(tmp_path / "bundle", target, format, images(model))
    assert report.path == target and report.format == format and report.images == 7
    assert report.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert report.size == target.stat().st_size
    assert report.max_difference < 1e-5
    run = FORMATS[format].open(target)
    for count in (1, 3, 11):
        x = images(model, count)
        np.testing.assert_allclose(run(x), logits(model, x), rtol=0, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["bundle", target.name])


@pytest.mark.parametrize("format", FORMATS)
def test_no_format_tells_where_it_was_made(format: str, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / FORMATS[format].default_name
    export_model(bundle, target, format, images(network()))
    data = target.read_bytes()
    if format != "onnx":
        with zipfile.ZipFile(target) as archive:
            data += b"".join(archive.read(name) for name in archive.namelist())
    root = str(Path(artifact.__file__).resolve().parents[1])
    assert not any(path.encode() in data for path in (root, str(Path.cwd()), sys.prefix, "/home/someone"))


def test_metadata_travels_with_the_torch_formats(bundle: Path, tmp_path: Path) -> None:
    for format in ("torchscript", "program"):
        target = tmp_path / FORMATS[format].default_name
        export_model(bundle, target, format, images(network()))
        with zipfile.ZipFile(target) as archive:
            (name,) = (name for name in archive.namelist() if "glscli.json" in name)
            assert archive.read(name) == b'{"dataset": "digits"}'


def test_exporting_onnx_twice_gives_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    reports = [export_model(bundle, tmp_path / f"{i}.onnx", "onnx", images(network())) for i in range(2)]
    assert reports[0].sha256 == reports[1].sha256


def test_the_file_runs_where_only_onnxruntime_is(bundle: Path, tmp_path: Path) -> None:
    target = export_model(bundle, tmp_path / "model.onnx", "onnx", images(network())).path
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    x = images(network())
    np.testing.assert_allclose(session.run(None, {"input": x})[0], logits(network(), x), rtol=0, atol=1e-5)


def wrong(kind: str):
    """A format that writes something else than the checkpoint."""
    real = FORMATS["onnx"]

    def write(graph, params, metadata):
        if kind == "not a model":
            return b"not a model"
        changed = dict(params)
        last = graph.nodes[-1].params[-1]
        if kind == "another bias":
            changed[last] = changed[last] + np.float32(0.01)
        elif kind == "NaN":
            changed[last] = np.full_like(changed[last], np.nan)
        return real.write(graph, changed, metadata)

    return real._replace(write=write)


@pytest.mark.parametrize("kind", ["another bias", "NaN", "not a model"])
def test_an_artifact_that_disagrees_is_not_put_in_place(kind, bundle, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(artifact.FORMATS, "onnx", wrong(kind))
    target = tmp_path / "model.onnx"
    target.write_bytes(b"what was there")
    with pytest.raises(ParityError, match="differs|another class|opened"):
        export_model(bundle, target, "onnx", images(network()))
    assert target.read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.onnx"]


def test_a_changed_class_is_a_disagreement_however_small() -> None:
    model = network()
    x = images(model, 3)
    tied = Model(model.graph, {k: np.zeros_like(v) for k, v in model.params.items()}, {})
    nudge = np.zeros(model.graph.output_shape, np.float32)
    nudge[-1] = 1e-6
    with pytest.raises(ParityError, match="another class"):
        max_difference(tied, Path("unused"), lambda path: lambda batch: logits(tied, batch) + nudge, x)


def test_a_batch_axis_fixed_by_mistake_is_found() -> None:
    model = network()

    def only_seven(batch: np.ndarray) -> np.ndarray:
        if len(batch) != 7:
            raise RuntimeError("expected 7 images")
        return logits(model, batch)

    with pytest.raises(ParityError, match="does not run on 1 images"):
        max_difference(model, Path("unused"), lambda path: only_seven, images(model))


def test_a_full_disk_leaves_the_old_file(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="the limit that stands for a full disk is POSIX's")
    target = tmp_path / "model.onnx"
    target.write_bytes(b"what was there")
    code = f"""
import resource, signal, sys
import numpy as np
from glscert.export import export_model
from glscert.verifier.errors import GlscertError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    export_model({str(bundle)!r}, {str(target)!r}, "onnx", np.zeros({images(network()).shape}, np.float32))
except GlscertError as error:
    sys.stdout.write(f"{{error.exit_code}} {{error}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.stdout.startswith(f"5 could not write {target}: "), done.stderr
    assert "is unchanged" in done.stdout
    assert target.read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.onnx"]


def test_misuse_is_answered_with_a_sentence(bundle: Path, tmp_path: Path) -> None:
    x = images(network())
    for arguments, words in (
        ((bundle, tmp_path / "m.onnx", "caffe", x), "'caffe' is unknown; supported: onnx, torchscript, program"),
        ((bundle, tmp_path, "onnx", x), "is a folder. Name the file"),
        ((bundle, tmp_path / "no" / "m.onnx", "onnx", x), "no folder"),
        ((tmp_path / "nowhere", tmp_path / "m.onnx", "onnx", x), "cannot read .*nowhere"),
        ((bundle, tmp_path / "m.onnx", "onnx", x[:0]), "at least 1"),
        ((bundle, tmp_path / "m.onnx", "onnx", x[:, 0]), r"have shape \[7, 9, 9\]"),
        ((bundle, tmp_path / "m.onnx", "onnx", x * np.nan), "NaN"),
    ):
        with pytest.raises(InputError, match=words):
            export_model(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_cannot_be_written_is_a_failed_write(bundle: Path, tmp_path: Path, monkeypatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(artifact.os, "replace", refuse)
    with pytest.raises(GlscertError, match="could not write .*Permission denied"):
        export_model(bundle, tmp_path / "m.onnx", "onnx", images(network()))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
