"""What a device gets, which devices are taken, and float32 without TF32: all that can be held without a GPU."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from glscert.cli.failures import describe
from glscert.trainer import train
from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.device import named_device, usable_device
from glscert.trainer.distributed import joined
from glscert.trainer.methods import METHODS
from glscert.trainer.objective import Objective
from glscert.verifier.bounds import Box, neurons
from glscert.verifier.bounds.device import DEVICES, exact_float32, gets
from glscert.verifier.errors import InputError

CPU, CUDA, META = torch.device("cpu"), torch.device("cuda"), torch.device("meta")


@pytest.fixture
def precision():
    """Reads the two settings as this torch names them; they are put back in the end."""
    product, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    newer = hasattr(cudnn, "conv")
    places = [(product, "fp32_precision"), (cudnn.conv, "fp32_precision")] if newer else []
    places = places or [(product, "allow_tf32"), (cudnn, "allow_tf32")]
    before = [getattr(*place) for place in places]
    yield SimpleNamespace(
        exact=["ieee", "ieee"] if newer else [False, False], read=lambda: [getattr(*place) for place in places]
    )
    torch.set_float32_matmul_precision("highest")
    for (owner, name), value in zip(places, before, strict=True):
        setattr(owner, name, value)


@pytest.mark.parametrize("users", ["highest", "high", "medium"])
def test_tf32_is_off_inside_and_as_the_user_had_it_after(precision, users):
    torch.set_float32_matmul_precision(users)
    before = precision.read()
    assert before != precision.exact  # torch's default has it for convolutions
    with exact_float32(CUDA):
        assert precision.read() == precision.exact
        with exact_float32(CUDA):
            assert precision.read() == precision.exact
        assert precision.read() == precision.exact
    assert precision.read() == before
    assert torch.get_float32_matmul_precision() == users
    assert torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), exact_float32(CUDA):
        raise ZeroDivisionError
    assert precision.read() == before


def test_the_last_thread_puts_the_settings_back(precision):
    """The settings are the process's, so that the first to leave must not turn TF32 on for the others."""
    before, entered, leave = precision.read(), threading.Event(), threading.Event()

    def work():
        with exact_float32(CUDA):
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=work)
    with exact_float32(CUDA):
        other.start()
        assert entered.wait(10)
    inside = precision.read()
    leave.set()
    other.join()
    assert inside == precision.exact
    assert precision.read() == before


def test_on_a_cpu_nothing_is_touched(precision):
    before = precision.read()
    with exact_float32(CPU):
        assert precision.read() == before


@pytest.mark.parametrize("method", ["grad", "pgpe"])
def test_training_on_cuda_evaluates_without_tf32(tmp_path, small, precision, monkeypatch, method):
    """A CPU stands in for the GPU: only the settings are looked at, wherever a network or its bounds are evaluated."""
    seen = []
    for name in ("bounds_on", "scores"):
        plain = getattr(Objective, name)

        def watched(*args, plain=plain, **kwargs):
            seen.append(precision.read())
            return plain(*args, **kwargs)

        monkeypatch.setattr(Objective, name, watched)
    for module in ("loop", "population"):
        monkeypatch.setattr(f"glscert.trainer.{module}.exact_float32", lambda device: exact_float32(CUDA))
    options = {"population": 4} if METHODS[method].search else {}
    before = precision.read()
    train(tmp_path / "run", small(method=method, epochs=1, options=options), report=lambda news: None)
    assert seen
    assert all(found == precision.exact for found in seen)
    assert precision.read() == before


def test_every_device_of_the_table_is_taken_and_no_other():
    assert [named_device(name).type for name in DEVICES] == list(DEVICES)
    assert named_device("cuda:1") == torch.device("cuda", 1)
    for name in ("mps", "meta", "cuda:x", "nonsense", ""):
        with pytest.raises(InputError, match=f"device = '{name}' is not supported; give cpu, cuda, or cuda:1"):
            usable_device(name)


@pytest.mark.parametrize(
    ("built", "gpus", "name", "sentence"),
    [
        (False, 0, "cuda", "needs a torch built with CUDA, and this one is not; train on cpu"),
        (True, 0, "cuda", "needs a GPU, and torch finds none, or no driver for it; train on cpu"),
        (True, 1, "cuda:1", "'cuda:1' is not here: cuda:0 is the only GPU"),
        (True, 4, "cuda:7", "'cuda:7' is not here: there are cuda:0 to cuda:3"),
    ],
)
def test_a_gpu_that_is_not_there_is_a_sentence(monkeypatch, tmp_path, small, built, gpus, name, sentence):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(InputError, match=sentence) as caught:
        train(tmp_path / "run", small(device=name), report=lambda news: None)
    text, code = describe(caught.value)
    assert (code, text.count("\n")) == (2, 0)
    assert not (tmp_path / "run").exists()


def test_torchrun_gives_the_devices(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    with pytest.raises(InputError, match="a device of its own; give cuda, not cuda:1"), joined("cuda:1"):
        raise AssertionError("a group was made")


def test_actors_take_no_numbered_gpu():
    fitness = SimpleNamespace(device=torch.device("cuda", 1), members=4)
    pgpe = METHODS["pgpe"]
    with pytest.raises(InputError, match="a GPU of its own; give --device cuda, not cuda:1"):
        pgpe.search(fitness, {}, {}, pgpe.options(population=16), actors=2)


def test_memory_that_a_gpu_lacks_is_a_sentence():
    """What torch's allocator raises, in its words."""
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 9.15 GiB is "
        "free. Including non-PyTorch memory, this process has 6.62 GiB memory in use."
    )
    text, code = describe(error)
    assert code == 4
    assert text.startswith("this takes 20.00 GiB of memory at once, more than there is. Give a smaller network")


def test_tiles_are_for_the_cache_of_a_cpu(monkeypatch):
    """On a GPU all rows of a layer go together; a device without values stands in for it."""
    net, asked = build("cnn3-tiny", SOURCES["mnist"]), []
    plain = neurons.lower_bound

    def counted(graph, params, name, *rest):
        asked.append(name)
        return plain(graph, params, name, *rest)

    monkeypatch.setattr(neurons, "lower_bound", counted)
    monkeypatch.setattr("glscert.verifier.bounds.chains.compiled.enabled", lambda: False)
    monkeypatch.setitem(DEVICES, "cpu", replace(DEVICES["cpu"], tile=1 << 16))
    assert gets(META) == gets(CUDA) != gets(CPU)

    def layers(device):
        asked.clear()
        params = {name: torch.zeros(shape, device=device) for name, shape in net.parameters.items()}
        constants = {name: torch.from_numpy(value).to(device) for name, value in net.constants.items()}
        x, y = torch.zeros(4, 1, 28, 28, device=device), torch.zeros(4, dtype=torch.int64, device=device)
        bounds = Objective(net.graph, constants, "deeppoly", 10).bounds_on(params, Box(x, x + 0.1), y)
        assert bounds.lower.shape == (4, 9)
        return list(asked)

    there, here = layers(META), layers(CPU)
    assert len(there) == len(set(there)) > 0
    assert len(here) > len(set(here)) == len(there)
