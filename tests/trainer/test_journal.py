"""TensorBoard finds the learning curves and the hyperparameters of a run; metrics.jsonl is read back."""

import json

import pytest

from glscert.trainer import train
from glscert.trainer.journal import EVENTS_FILE, read_epochs
from glscert.verifier.errors import InputError


def events(run):
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    return [Event.FromString(raw) for raw in RawEventFileLoader(str(run / EVENTS_FILE)).Load()]


def test_tensorboard_shows_curves_and_hyperparameters(tmp_path, small):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    config = small(method="rgs", options={"sigma": 0.5, "decay": 0.25}, milestones=(0.5,))
    train(tmp_path / "run", config, report=lambda news: None)
    curves, hyperparameters = {}, {}
    for event in events(tmp_path / "run"):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                start = HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info
                hyperparameters = {name: v.string_value or v.number_value for name, v in start.hparams.items()}
            else:
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert {f"step/{name}" for name in ("loss", "eps", "lr", "sigma", "images_per_s")} <= set(curves)
    epochs = ("train_loss", "train_certified", "natural", "certified", "eps", "lr", "sigma", "images_per_s", "seconds")
    assert {f"epoch/{name}" for name in epochs} <= set(curves)
    assert [step for step, _ in curves["step/loss"]] == list(range(1, 13))
    assert [sigma for _, sigma in curves["epoch/sigma"]] == pytest.approx([0.5, 0.125])
    assert [step for step, _ in curves["epoch/natural"]] == [6, 12]
    expected = {"method": "rgs", "options.sigma": 0.5, "eps": 0.1, "batch": 256.0, "milestones": "(0.5,)"}
    assert expected.items() <= hyperparameters.items()


def test_a_method_without_noise_has_no_sigma(tmp_path, small):
    train(tmp_path / "run", small(method="grad", epochs=1), report=lambda news: None)
    assert all("sigma" not in value.tag for event in events(tmp_path / "run") for value in event.summary.value)


def test_epochs_are_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_epochs(tmp_path) == []
    first = {"step": 1, "kind": "epoch", "natural": 0.5}
    path.write_text('{"step": 1, "kind": "step"}\n' + json.dumps(first) + '\n{"step": 2, "ki')
    assert read_epochs(tmp_path) == [first]
    for damaged in ("{\n", "[]\n", "{}\n", "\n"):
        path.write_text(damaged)
        with pytest.raises(InputError, match="metrics.jsonl is damaged"):
            read_epochs(tmp_path)
