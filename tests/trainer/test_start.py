"""Training that starts from weights found elsewhere."""

import shutil

import pytest
import torch

from glscert.trainer import METHODS, model_folder, resume, train
from glscert.trainer.checkpoint import load, load_weights
from glscert.verifier.errors import InputError
from glscert.verifier.graph import read_bundle


def ignore(news):
    pass


class Stop(Exception):
    pass


def stop_at_once(news):
    raise Stop


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from glscert.trainer import resolve

    run = tmp_path_factory.mktemp("runs") / "first"
    config = resolve({"relaxation": "ibp", "method": "grad", "epochs": 1, "batch": 256, "eval_images": 64, "eps": 0.01})
    train(run, config, report=ignore)
    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_run_starts_from_the_weights_of_another(tmp_path, small, trained, method):
    with pytest.raises(Stop):
        train(tmp_path / "run", small(method=method, start=str(trained)), report=stop_at_once)
    for name, value in read_bundle(model_folder(trained)).params.items():
        held = read_bundle(model_folder(tmp_path / "run")).params[name]
        assert (held == value).all()


@pytest.mark.parametrize("before", ["rgs", "pgpe"])
def test_pgpe_starts_from_any_method_with_moments_of_its_own(tmp_path, small, before):
    population = {"options": {"population": 4}}
    given = population if before == "pgpe" else {}
    train(tmp_path / "before", small(method=before, epochs=1, **given), report=ignore)
    options = {**population["options"], "control": "grad", "sigma": 0.02, "sigma_lr": 0.0}
    config = small(method="pgpe", start=str(tmp_path / "before"), options=options, epochs=1)
    metrics = train(tmp_path / "run", config, report=ignore)
    assert metrics["sigma"] == pytest.approx(0.02)  # not what the run before had come to
    shapes = {name: value.shape for name, value in read_bundle(model_folder(tmp_path / "run")).params.items()}
    moments = load(tmp_path / "run", shapes).moments
    assert moments["pgpe/step"].item() == 6  # Adam's, counted anew


def test_a_folder_with_a_network_will_do(trained):
    shapes = {name: value.shape for name, value in read_bundle(model_folder(trained)).params.items()}
    of_run, of_folder = load_weights(trained, shapes), load_weights(model_folder(trained), shapes)
    assert of_run.keys() == shapes.keys() and all(torch.equal(of_run[name], of_folder[name]) for name in shapes)


def test_resuming_does_not_need_the_start_any_more(tmp_path, small, trained):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    config = small(method="grad", start=str(copy), epochs=1)
    train(tmp_path / "whole", config, report=ignore)
    with pytest.raises(Stop):
        train(tmp_path / "run", config, report=stop_at_once)
    shutil.rmtree(copy)
    resume(tmp_path / "run", report=ignore)
    whole, run = (model_folder(tmp_path / name) / "params.safetensors" for name in ("whole", "run"))
    assert whole.read_bytes() == run.read_bytes()


def test_weights_that_cannot_be_started_from(tmp_path, small, trained):
    for place, sentence in ((tmp_path / "none", "is not there"), (tmp_path, "none|graph.json")):
        with pytest.raises(InputError, match=sentence):
            train(tmp_path / "run", small(start=str(place)), report=ignore)
    shapes = {name: tuple(value.shape) for name, value in read_bundle(model_folder(trained)).params.items()}
    first = next(iter(shapes))
    with pytest.raises(InputError, match=r"another network \(digits\): .* is .* there and 7 x 7 here. Choose its net"):
        load_weights(trained, {**shapes, first: (7, 7)})
    with pytest.raises(InputError, match="extra is not there and 3 here"):
        load_weights(trained, {**shapes, "extra": (3,)})
    assert not (tmp_path / "run").exists()
