"""Schedules against the formulas of Shi et al. and the authors' scripts."""

import pytest

from glscert.trainer import resolve
from glscert.trainer.plan import Plan
from glscert.trainer.schedules import multi_step, smooth_eps


def formula(k, start, end, final):
    """The recipe, written out: quartic to M, then a line with the same slope at M."""
    middle = start + int(0.25 * (end - start))
    alpha = final / ((end - middle) * 4 * (middle - start) ** 3 + (middle - start) ** 4)
    if k <= middle:
        return alpha * max(k - start, 0) ** 4
    at_middle = alpha * (middle - start) ** 4
    return min(at_middle + 4 * alpha * (middle - start) ** 3 * (k - middle), final)


@pytest.mark.parametrize(("start", "end"), [(0, 4700), (391, 31671), (3, 23), (0, 4)])
def test_smooth_eps_is_the_recipe(start, end):
    for k in range(0, end + 10, max(1, end // 97)):
        assert smooth_eps(k, start, end, 0.3) == pytest.approx(formula(k, start, end, 0.3), abs=1e-12)


def test_smooth_eps_at_the_joint_and_outside():
    assert smooth_eps(1000, 0, 4000, 0.1) == pytest.approx(0.1 / 13)
    assert smooth_eps(99, 100, 200, 0.1) == 0 and smooth_eps(200, 100, 200, 0.1) == 0.1
    values = [smooth_eps(k, 10, 60, 0.1) for k in range(80)]
    assert values == sorted(values)


@pytest.mark.parametrize("end", [0, 1, 2, 3])
def test_smooth_eps_of_a_ramp_too_short_to_curve(end):
    values = [smooth_eps(k, 0, end, 0.1) for k in range(end + 2)]
    assert values == sorted(values) and values[end] == 0.1


def test_multi_step():
    assert [multi_step(k, 1.0, 0.2, (2, 4)) for k in range(6)] == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04])


def test_plan_of_the_paper_on_mnist():
    plan = Plan(resolve({"method": "rgs", "dataset": "mnist"}), 60_000)
    assert (plan.steps_per_epoch, plan.steps) == (235, 70 * 235)
    assert plan.eps(20 * 235 - 1) < 0.1 == plan.eps(20 * 235)
    assert [plan.decays(epoch * 235) for epoch in (0, 49, 50, 59, 60, 69)] == [0, 0, 1, 1, 2, 2]
    assert plan.lr(60 * 235) == pytest.approx(5e-4 * 0.04)
    assert plan.reg_weight(0) == pytest.approx(0.5, rel=1e-4)
    assert plan.reg_weight(20 * 235) == 0 < plan.reg_weight(20 * 235 - 1)


def test_plan_of_the_paper_on_cifar_starts_with_an_epoch_of_no_perturbation():
    plan = Plan(resolve({"method": "rgs", "dataset": "cifar10"}), 50_000)
    assert plan.steps_per_epoch == 391
    assert plan.eps(390) == plan.eps(391) == 0 < plan.eps(392)
    assert plan.eps(81 * 391) == 2 / 255 and plan.decays(120 * 391) == 1 and plan.decays(120 * 391 - 1) == 0


def test_a_shorter_run_shortens_all_of_the_schedule():
    plan = Plan(resolve({"method": "rgs", "dataset": "mnist", "epochs": 7}), 60_000)
    assert plan.eps(2 * 235) == 0.1 and plan.decays(5 * 235) == 1 and plan.decays(6 * 235) == 2
