"""The stages of a run: a warm-up while eps grows, with a relaxation of its own, and what follows at full eps."""

import json
from dataclasses import replace

import pytest
import torch

from glscert.trainer import METHODS, model_folder, read_config, resolve, resume, train
from glscert.trainer.checkpoint import METRICS_FILE, State
from glscert.trainer.cost import MEASURED
from glscert.trainer.plan import Plan
from glscert.trainer.selection import keep_best
from glscert.trainer.setup import prepare
from glscert.verifier.errors import InputError

RGS = {"method": "rgs"}
SHORT = {"steps": 1, "restarts": 1, "latent_steps": 1, "latent_restarts": 1, "population": 8}  # little cost


def ignore(news):
    pass


class Stop(Exception):
    """Stands for whatever ends a run early."""


def stop_at(step):
    def report(news):
        if getattr(news, "step", 0) == step:
            raise Stop

    return report


def weights(run):
    return (model_folder(run) / "params.safetensors").read_bytes()


def options(method):
    return {name: value for name, value in SHORT.items() if name in METHODS[method].options.model_fields}


def test_the_warm_up_has_its_own_relaxation():
    plan = Plan(resolve({**RGS, "warmup_relaxation": "ibp", "epochs": 4, "anneal_end": 0.5}), 640)
    assert (plan.steps, plan.config.warmup_epochs) == (40, 2)
    assert [plan.relaxation(step) for step in (0, 19, 20, 39)] == ["ibp", "ibp", "deeppoly", "deeppoly"]
    assert Plan(resolve(RGS), 640).relaxation(0) == "deeppoly"
    longer = Plan(
        resolve({**RGS, "warmup_relaxation": "ibp", "epochs": 4, "anneal_end": 0.25, "warmup_end": 0.75}), 640
    )
    assert [longer.relaxation(step) for step in (0, 29, 30)] == ["ibp", "ibp", "deeppoly"]
    assert longer.eps(10) == longer.config.eps and longer.reg_weight(10) == 0 and longer.config.warmup_epochs == 1


def test_without_a_ramp_eps_is_full_from_the_first_step():
    plan = Plan(resolve({"anneal": False, "eps": 0.1}), 640)
    assert (plan.eps(0), plan.reg_weight(0), plan.config.warmup_epochs) == (0.1, 0.0, 0)
    kept = Plan(resolve({"regulariser": False}), 640)
    assert (kept.eps(0), kept.reg_weight(0)) == (0.0, 0.0)


def test_a_start_has_neither_ramp_nor_regulariser_unless_they_are_given():
    started = resolve({**RGS, "start": "runs/first"})
    assert (started.anneal, started.regulariser) == (False, False)
    asked = resolve({**RGS, "start": "runs/first", "anneal": True}, {"warmup_relaxation": "ibp"})
    assert (asked.anneal, asked.regulariser, asked.warmup_relaxation) == (True, False, "ibp")
    plain = resolve(RGS)
    assert (plain.anneal, plain.regulariser, plain.warmup_relaxation) == (True, True, None)


@pytest.mark.parametrize("without", [{"anneal": False}, {"anneal_end": 0.0}, {"start": "runs/first"}])
def test_a_warm_up_s_relaxation_needs_a_warm_up(without):
    with pytest.raises(InputError, match="no warm-up to be used in: let eps grow, with anneal = true"):
        resolve({"warmup_relaxation": "ibp", **without})


def test_a_method_must_know_the_relaxation_of_either_stage(tmp_path, small):
    config = small(method="sabr", warmup_relaxation="deeppoly", options={"relu_shrinkage": 0.8})
    with pytest.raises(InputError, match="not deeppoly's"):
        train(tmp_path / "run", config, report=ignore)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_two_stages_resumes_to_the_bit_and_begins_as_its_warm_up(tmp_path, small, method):
    """Stopped in the second stage; a run whose every step is of the warm-up's relaxation ends elsewhere."""
    stages = {"relaxation": "deeppoly", "warmup_relaxation": "ibp", "anneal_end": 0.5, "eps": 0.02}
    base = {"method": method, "batch": 720, "options": options(method), "eval_relaxation": "ibp"}
    train(tmp_path / "whole", small(**base, **stages), report=ignore)
    with pytest.raises(Stop):
        train(tmp_path / "stopped", small(**base, **stages, checkpoint_steps=1), report=stop_at(3))
    resume(tmp_path / "stopped", report=ignore)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    for name, relaxation in (("ibp", "ibp"), ("deeppoly", "deeppoly")):
        train(
            tmp_path / name,
            small(**base, **stages | {"relaxation": relaxation, "warmup_relaxation": None}),
            report=ignore,
        )
        same = weights(tmp_path / name) == weights(tmp_path / "whole")
        assert same is (method == "pgd"), name  # which trains without bounds


# Three candidates of one epoch each, then one epoch that is left of the schedule.
CHOICE = {"restarts": 3, "anneal_end": 0.5, "batch": 480, "eps": 0.02, "lr": 0.02}


def records(run, kind="epoch"):
    lines = (run / METRICS_FILE).read_text().splitlines()
    found = [{k: v for k, v in json.loads(line).items() if k not in MEASURED} for line in lines]
    return [record for record in found if record["kind"] == kind]


def test_steps_of_candidates_are_those_of_their_own_schedules():
    plan = Plan(resolve({"restarts": 3, "epochs": 3, "anneal_end": 0.4, "batch": 10}), 40)  # 4 steps an epoch
    assert (plan.config.warmup_epochs, plan.steps, plan.total_steps, plan.total_epochs) == (2, 12, 28, 7)
    assert [plan.own_step(step) for step in (0, 7, 8, 15, 16, 23, 24, 27)] == [0, 7, 0, 7, 0, 7, 8, 11]
    assert [plan.stage(step) for step in (0, 7, 8, 16, 23, 24, 27)] == [0, 0, 1, 2, 2, 3, 3]
    assert [step for step in range(28) if not plan.choosing(step)] == [24, 25, 26, 27]
    whole = Plan(resolve({**RGS, "epochs": 3, "batch": 10}), 40)
    assert [whole.own_step(step) for step in range(12)] == list(range(12))


def test_the_candidate_of_the_lowest_loss_goes_on(tmp_path, small):
    """Its whole training is that of a run without others, from the same weights."""
    run, setup = tmp_path / "run", prepare(small(**CHOICE, method="grad"), None)
    train(run, setup.config, report=ignore, setup=setup)
    epochs = records(run)
    assert [record.get("candidate") for record in epochs] == [1, 2, 3, None]
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4]
    losses = [record["train_loss"] for record in epochs[:3]]
    assert epochs[2]["candidate_losses"] == losses and len(set(losses)) == 3
    best = losses.index(min(losses))
    assert epochs[2]["chosen"] == best + 1
    assert [record["step"] for record in records(run, "step")] == list(range(1, 13))
    alone = small(**CHOICE | {"restarts": 1}, method="grad")
    train(
        tmp_path / "alone",
        alone,
        report=ignore,
        setup=replace(setup, config=alone, plan=replace(setup.plan, config=alone), given=setup.initial_params(best)),
    )
    assert weights(tmp_path / "alone") == weights(run)
    assert records(tmp_path / "alone")[-1]["train_loss"] == epochs[-1]["train_loss"]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_with_candidates_resumes_to_the_bit(tmp_path, small, method):
    """Stopped in candidate 2, at its end, at the choice and after it."""
    config = CHOICE | {"method": method, "options": options(method), "keep": "best", "epochs": 3, "anneal_end": 1 / 3}
    config["log_steps"] = 100
    train(tmp_path / "whole", small(**config), report=ignore)
    for stopped in (5, 6, 9, 10) if method in ("rgs", "pgpe") else (5,):
        run = tmp_path / f"stopped-{stopped}"
        with pytest.raises(Stop):
            train(run, small(**config, checkpoint_steps=1), report=stop_at(stopped))
        resume(run, report=ignore)
        assert weights(run) == weights(tmp_path / "whole")
        assert records(run) == records(tmp_path / "whole")


REVIVES = {"revive": 0.5, "anneal_end": 0.5, "eps": 0.3, "epochs": 4, "batch": 480}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_revives_resumes_to_the_bit(tmp_path, small, method):
    """Stopped after a revival, with every method; the record names the channels."""
    config = small(**REVIVES, method=method, options=options(method))
    setup = with_dead(prepare(config, None))
    train(tmp_path / "whole", config, report=ignore, setup=setup)
    epochs = records(tmp_path / "whole")
    assert {3, 5} <= set(epochs[0]["revived_channels"]["conv_1"]) and "revived_channels" not in epochs[-1]
    stopped = replace(setup, config=small(**REVIVES, method=method, options=options(method), checkpoint_steps=1))
    with pytest.raises(Stop):
        train(tmp_path / "stopped", stopped.config, report=stop_at(5), setup=stopped)
    resume(tmp_path / "stopped", report=ignore, setup=stopped)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def with_dead(setup):
    params = setup.initial_params()
    bias = next(name for name in params if "bias" in name)
    params[bias][[3, 5]] = -100.0
    return replace(setup, given=params)


def test_candidates_that_train_the_whole_schedule(tmp_path, small):
    run = tmp_path / "run"
    metrics = train(run, small(**CHOICE | {"anneal_end": 1.0}, method="grad"), report=ignore)
    losses = [record["train_loss"] for record in records(run)[1::2]]
    assert metrics["candidate_losses"] == losses and metrics["chosen"] == losses.index(min(losses)) + 1


def test_the_best_epoch_is_kept_by_images_held_out(tmp_path, small):
    config = small(method="grad", keep="best", epochs=4, anneal_end=0.25, eps=0.02, lr=0.5, milestones=())
    setup = prepare(config, None)
    (held_x, _), count = setup.held, len(prepare(small(), None).train_x)
    assert len(held_x) == round(0.1 * count) and len(setup.train_x) + len(held_x) == count
    train(tmp_path / "run", config, report=ignore)
    epochs = records(tmp_path / "run")
    reached = [(record["held_certified"], record["held_natural"]) for record in epochs]
    best = max(range(4), key=reached.__getitem__)
    assert epochs[-1]["kept_epoch"] == best + 1
    assert epochs[-1]["certified"] == epochs[best]["certified"]  # of the weights that are kept
    assert epochs[-1]["natural"] == epochs[best]["natural"]


def test_the_first_of_the_best_epochs_is_kept_and_none_of_the_warm_up():
    plan = Plan(resolve({**RGS, "keep": "best", "epochs": 4, "anneal_end": 0.5, "batch": 10}), 10)  # a step an epoch
    state = State({"w": torch.zeros(1)}, {})
    for step, certified in ((1, 0.9), (2, 0.3), (3, 0.5), (4, 0.5)):
        state.step, state.params = step, {"w": torch.full((1,), float(step))}
        said = keep_best(state, plan, {"held_certified": certified, "held_natural": 0.9})
        assert said == ({"kept_epoch": 3} if step == 4 else {})
    assert state.params["w"].item() == 3 and state.kept == {}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"restarts": 2, "start": "runs/first", "anneal": True}, "here the weights to start from are given"),
        ({"restarts": 2, "anneal": False}, "restarts = 2 .* here there is no warm-up"),
        ({"restarts": 0}, "restarts = 0 must be greater"),
        ({"keep": "best", "held_out": 0.0}, "compares epochs on held_out images"),
        ({"keep": "worst"}, "is not known .*last, best"),
    ],
)
def test_a_choice_that_cannot_be_is_a_sentence(values, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve(values)


def test_a_share_held_out_of_few_images(small):
    with pytest.raises(InputError, match="leaves 0 of them"):
        prepare(small(held_out=1e-5), None)


def test_a_configuration_of_before_is_a_run_of_one_stage(tmp_path, small):
    train(tmp_path / "run", small(epochs=1), report=ignore)
    path = tmp_path / "run" / "config.json"
    values = json.loads(path.read_text())
    new = ("warmup_relaxation", "anneal", "regulariser", "restarts", "keep", "held_out")
    path.write_text(json.dumps({name: value for name, value in values.items() if name not in new} | {"start": "x"}))
    read = read_config(tmp_path / "run")
    assert tuple(getattr(read, name) for name in new) == (None, True, True, 1, "last", 0.0)
