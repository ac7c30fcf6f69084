"""What is measured survives a stop, and only the rest of a schedule is projected."""

import pytest
import torch

from glscert.trainer import resolve, train
from glscert.trainer.cost import MEASURED, Meter, cost, machine, peak_memory
from glscert.trainer.journal import read_epochs
from glscert.verifier.errors import InputError

CPU = torch.device("cpu")


def epoch(
    train_seconds, evaluation_seconds, cpu_seconds, total, images_per_s=100.0, memory=50.0, actors=0, processes=1
):
    values = (total, images_per_s, train_seconds, evaluation_seconds, cpu_seconds, memory, 2, actors, processes)
    values = (*values, "a machine")
    return dict(zip(MEASURED, values, strict=True))


def test_an_epoch_in_two_sittings_counts_whole():
    sums = {"loss": 1.0}
    Meter(CPU, 2).step(sums, 3.0)
    after = dict(sums)  # as a checkpoint would keep it
    meter = Meter(CPU, 4)
    meter.step(after, 5.0)
    fields = meter.epoch(after, 160, 1.5)
    assert fields["train_seconds"] == 8.0 and fields["images_per_s"] == 20.0
    assert fields["evaluation_seconds"] == 1.5 and fields["workers"] == 4 and fields["cpu_seconds"] >= 0
    assert after == {"loss": 1.0}
    assert {"seconds", *fields} == set(MEASURED)


def test_the_rest_of_the_schedule_is_like_the_last_epoch():
    config = resolve({"method": "rgs", "epochs": 10})
    found = cost(config, [epoch(10, 2, 18, 12), epoch(20, 4, 36, 36, images_per_s=50.0, memory=80.0)])
    assert (found.epochs_done, found.epochs, found.machine, found.peak_memory_mib) == (2, 10, "a machine", 80.0)
    assert found.seconds_per_epoch == 15 and found.evaluation_seconds_per_epoch == 3
    assert found.images_per_s == pytest.approx((10 * 100 + 20 * 50) / 30)
    assert found.core_hours_per_epoch == pytest.approx(27 / 3600)
    assert found.seconds == 36 and found.seconds_whole == 36 + 8 * 24
    assert found.core_hours_whole == pytest.approx((18 + 36 + 8 * 36) / 3600)


def test_a_gpu_is_held_as_long_as_it_takes():
    found = cost(resolve({"epochs": 1, "device": "cuda"}), [epoch(10, 2, 18, 12)])
    assert found.core_hours_per_epoch == pytest.approx(12 / 3600)


def test_actors_are_held_as_long_as_it_takes():
    found = cost(resolve({"epochs": 1}), [epoch(10, 2, 18, 12, actors=4)])
    assert found.core_hours_per_epoch == pytest.approx(4 * 12 / 3600) and found.actors == 4


@pytest.mark.parametrize("device, hours", [("cpu", 2 * 18 / 3600), ("cuda", 2 * 12 / 3600)])
def test_every_process_of_torchrun_counts(device, hours):
    found = cost(resolve({"epochs": 1, "device": device}), [epoch(10, 2, 18, 12, processes=2)])
    assert found.core_hours_per_epoch == pytest.approx(hours)


def test_a_real_run_is_measured(tmp_path, small):
    config = small(checkpoint_steps=2)
    metrics = train(tmp_path / "run", config, report=lambda news: None)
    epochs = read_epochs(tmp_path / "run")
    found = cost(config, epochs)
    assert len(epochs) == found.epochs_done == 2 and epochs[-1]["natural"] == metrics["natural"]
    assert found.seconds == found.seconds_whole >= 0.99 * 2 * found.seconds_per_epoch > 0
    assert found.core_hours_per_epoch > 0 and found.peak_memory_mib > 10 and found.images_per_s > 0
    assert found.machine == machine(CPU) != "" and peak_memory(CPU) > 0


def test_nothing_measured_is_said():
    with pytest.raises(InputError, match="no epoch is finished"):
        cost(resolve({}), [])
    with pytest.raises(InputError, match="holds no images_per_s: an earlier version"):
        cost(resolve({}), [{"seconds": 1.0}])
