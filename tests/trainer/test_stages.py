"""The stages of a run: a warm-up while eps grows, with a relaxation of its own, and what follows at full eps."""

import pytest

from glscert.trainer import METHODS, model_folder, resolve, resume, train
from glscert.trainer.plan import Plan
from glscert.verifier.errors import InputError

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
    plan = Plan(resolve({"relaxation": "deeppoly", "warmup_relaxation": "ibp", "epochs": 4, "anneal_end": 0.5}), 640)
    assert (plan.steps, plan.config.warmup_epochs) == (40, 2)
    assert [plan.relaxation(step) for step in (0, 19, 20, 39)] == ["ibp", "ibp", "deeppoly", "deeppoly"]
    assert Plan(resolve({"relaxation": "deeppoly"}), 640).relaxation(0) == "deeppoly"


def test_without_a_ramp_eps_is_full_from_the_first_step():
    plan = Plan(resolve({"anneal": False, "eps": 0.1}), 640)
    assert (plan.eps(0), plan.reg_weight(0), plan.config.warmup_epochs) == (0.1, 0.0, 0)
    kept = Plan(resolve({"regulariser": False}), 640)
    assert (kept.eps(0), kept.reg_weight(0)) == (0.0, 0.0)


def test_a_start_has_neither_ramp_nor_regulariser_unless_they_are_given():
    started = resolve({"start": "runs/first"})
    assert (started.anneal, started.regulariser) == (False, False)
    asked = resolve({"start": "runs/first", "anneal": True}, {"warmup_relaxation": "ibp"})
    assert (asked.anneal, asked.regulariser, asked.warmup_relaxation) == (True, False, "ibp")
    assert (resolve().anneal, resolve().regulariser, resolve().warmup_relaxation) == (True, True, None)


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
