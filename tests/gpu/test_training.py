"""A step of every method on a GPU is the CPU's, for the same seed, up to what float32 rounds."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from typer.testing import CliRunner

from glscert.cli.failures import describe
from glscert.cli.main import app
from glscert.trainer import METHODS, resolve, train
from glscert.trainer.checkpoint import State
from glscert.trainer.device import usable_device
from glscert.trainer.objective import Objective
from glscert.trainer.population import Batch, Population
from glscert.trainer.setup import prepare
from glscert.trainer.updates import updates
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.bounds.device import gets
from glscert.verifier.errors import InputError

SHORT = {"steps": 1, "restarts": 1, "latent_steps": 1, "latent_restarts": 1, "population": 8}
UNATTACKED = ("grad", "rgs", "pgpe")


def config(device, method, **changes):
    options = {name: value for name, value in SHORT.items() if name in METHODS[method].options.model_fields}
    given = {"method": method, "options": options, "device": device, "relaxation": "ibp", "epochs": 1, "batch": 64}
    return resolve({"eval_images": 64, "eps": 0.02, "anneal_end": 0.0}, given, changes)


def step(device, method, relaxation):
    """The update from the first images; Adam's first moment in it is the gradient, but for a factor."""
    setup = prepare(config(device, method, relaxation=relaxation), None)
    state = State({name: value.to(setup.device) for name, value in setup.initial_params().items()}, {})
    with ThreadPoolExecutor(1) as pool, updates(setup, state, pool, 0) as take:
        return take(setup.train_x[torch.arange(64, device=setup.device)], setup.train_y[:64])


def close(found, expected, tolerance):
    assert float((found.cpu() - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_step_is_the_one_of_a_cpu(gpu, method, relaxation):
    if METHODS[method].loss is not None and relaxation != "ibp":
        relaxation = "deeppoly"
    # an attack steps by signs, and the sign of a gradient near zero may fall either way
    tolerance = 1e-4 if method in UNATTACKED else 2e-2
    found, expected = step("cuda", method, relaxation), step("cpu", method, relaxation)
    assert found.loss == pytest.approx(expected.loss, rel=tolerance)
    assert found.moments.keys() == expected.moments.keys()
    for name, value in expected.moments.items():
        close(found.moments[name], value, tolerance)
    assert all(value.device.type == "cuda" for value in found.params.values())


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_population_has_the_losses_of_a_cpu(gpu, relaxation):
    """All of its members in one evaluation, however many the GPU's budget takes."""
    found = {}
    for device in (gpu, torch.device("cpu")):
        setup = prepare(config(device.type, "grad", relaxation=relaxation), None)
        params = {name: value.to(device) for name, value in setup.initial_params().items()}
        batch = Batch(setup.train_x[:16], setup.train_y[:16], 0.02)
        whole = Population(setup.objective, setup.chunk, 64, device).within(gets(device).budget, params, batch)
        generator = torch.Generator().manual_seed(0)
        stack = {n: p + 1e-3 * torch.randn(64, *p.shape, generator=generator).to(p) for n, p in params.items()}
        found[device.type] = *whole(stack, batch), whole.members
    close(found["cuda"][0], found["cpu"][0], 1e-5)
    assert (
        float((found["cuda"][1].cpu() - found["cpu"][1]).abs().max()) <= 1 / 16
    )  # a margin that is zero but for rounding
    assert found["cuda"][2] == 64


@pytest.mark.parametrize("method", ["grad", "pgpe"])
def test_no_tf32_in_training_and_the_users_settings_after(tmp_path, monkeypatch, method):
    product, convolution = torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", torch.backends.cudnn)
    name, exact = ("fp32_precision", "ieee") if hasattr(torch.backends.cudnn, "conv") else ("allow_tf32", False)
    plain, seen, before = Objective.bounds_on, [], (getattr(product, name), getattr(convolution, name))

    def watched(*args, **kwargs):
        seen.append((getattr(product, name), getattr(convolution, name)))
        return plain(*args, **kwargs)

    monkeypatch.setattr(Objective, "bounds_on", watched)
    train(tmp_path / "run", config("cuda", method), report=lambda news: None)
    assert set(seen) == {(exact, exact)}
    assert (getattr(product, name), getattr(convolution, name)) == before != (exact, exact)


def test_the_command_trains_and_says_where(tmp_path):
    asked = ["train", "--device", "cuda", "--relaxation", "deeppoly", "--epochs", "1", "--runs-dir", str(tmp_path)]
    done = CliRunner().invoke(app, [*asked, "--run", "one", "--json"])
    assert done.exit_code == 0, done.output
    assert f'"machine": "{torch.cuda.get_device_name()}"' in done.stdout
    after = CliRunner().invoke(app, ["tightness", "one", "--runs-dir", str(tmp_path), "--points", "3", "--json"])
    assert after.exit_code == 0, after.output


def test_memory_that_the_gpu_lacks_is_a_sentence():
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(1 << 44, device="cuda")
    text, code = describe(caught.value)
    assert code == 4
    assert text.startswith("this takes ")
    assert "Give a smaller network" in text


def test_a_gpu_beyond_the_last_is_a_sentence():
    with pytest.raises(InputError, match="is not here"):
        usable_device(f"cuda:{torch.cuda.device_count()}")
