"""Which weights go on: the candidate of the lowest training loss after the warm-up, the best epoch where asked.

The test set has no say: candidates are compared by the mean training loss of their last epoch, epochs by accuracies on
training images held out. What may be needed later lies in `State.kept`, and so in every checkpoint.
"""

from collections.abc import Mapping
from typing import Any

from .checkpoint import PARAM, State
from .plan import Plan


def choose_candidate(state: State, plan: Plan, loss: float) -> dict[str, Any]:
    """At the end of an epoch of mean training loss `loss`: what its record says of the candidate, none without.

    After the last candidate `state` is the chosen one's, as at the end of its warm-up.
    """
    if not plan.choosing(state.step - 1):
        return {}
    candidate = plan.stage(state.step - 1)
    said: dict[str, Any] = {"candidate": candidate + 1}
    if state.step % plan.candidate_steps != 0:
        return said
    before = state.choice.get("losses", [])
    losses = [*before, loss]
    if loss < min(before, default=float("inf")):
        state.kept = {f"{PARAM}{name}": value for name, value in state.params.items()} | state.moments
    state.choice = {"losses": losses}
    if len(losses) == plan.config.restarts:
        _restore(state)
        said |= {"candidate_losses": losses, "chosen": losses.index(min(losses)) + 1}
    return said


def keep_best(state: State, plan: Plan, held: Mapping[str, float]) -> dict[str, Any]:
    """At the end of an epoch at full eps: keeps the weights if those held-out accuracies are the best so far.

    They are first compared by the certified one. At the run's end `state` has the weights kept; the record says so.
    """
    if plan.config.keep != "best" or plan.choosing(state.step) or plan.warming(plan.own_step(state.step - 1) + 1):
        return {}
    reached = [held["held_certified"], held["held_natural"]]
    if reached > state.choice.get("reached", []):
        state.kept = {f"{PARAM}{name}": value for name, value in state.params.items()}
        state.choice = {**state.choice, "reached": reached, "epoch": state.step // plan.steps_per_epoch}
    if state.step < plan.total_steps:
        return {}
    _restore(state)
    return {"kept_epoch": state.choice["epoch"]}


def _restore(state: State) -> None:
    state.params = {name: state.kept[f"{PARAM}{name}"] for name in state.params}
    state.moments = {name: value for name, value in state.kept.items() if not name.startswith(PARAM)}
    state.kept = {}
