"""The training loop: batches in, checkpoints and metrics out. It prints nothing; `report` hears of every step.

All that is random is a function of (seed, purpose, epoch or step), see `randomness`, so a run resumed from any
checkpoint takes the same steps, bit for bit, as one that was never stopped.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glscert.verifier.bounds.device import exact_float32
from glscert.verifier.errors import GlscertError

from . import checkpoint
from .channels import as_record, ends, survey
from .checkpoint import State
from .config import TrainConfig
from .cost import Meter
from .distributed import ALONE, Group
from .journal import Journal, NoJournal
from .methods import METHODS
from .randomness import stream
from .reports import EpochReport, Report, StepReport
from .revival import revive
from .selection import choose_candidate, keep_best
from .setup import Setup, keep_held_out, prepare
from .updates import Take, updates


def train(
    run: Path,
    config: TrainConfig,
    *,
    report: Report,
    data_dir: Path | None = None,
    workers: int = 1,
    actors: int = 0,
    setup: Setup | None = None,
    group: Group = ALONE,
) -> dict[str, Any]:
    """Trains from the start, in the new folder `run`; returns the last epoch's metrics.

    `workers` threads share a batch's chunks, `actors` processes a population's parts; the weights depend on neither.
    `setup`: network and data, where they are not those that the configuration names. `group`: processes that all call
    this and share the work (`distributed.joined`); the first alone writes and reports.
    Raises InputError: the folder holds a run, no data, no such device, no weights to start from, actors without a
    population; GlscertError: the loss is not finite.
    """
    setup = replace(setup or prepare(config, data_dir), group=group)
    start = config.start
    params = setup.initial_params() if start is None else checkpoint.load_weights(Path(start), setup.net.parameters)
    return _run(run, setup, State(params, {}), report, workers, actors, new=True)


def resume(
    run: Path,
    *,
    report: Report,
    data_dir: Path | None = None,
    workers: int = 1,
    actors: int = 0,
    setup: Setup | None = None,
    group: Group = ALONE,
) -> dict[str, Any]:
    """Continues a run from its newest checkpoint, or from the start where it has none. As `train` otherwise."""
    setup = replace(setup or prepare(checkpoint.read_config(run), data_dir), group=group)
    state = checkpoint.load(run, setup.net.parameters) or State(setup.initial_params(), {})
    return _run(run, setup, state, report, workers, actors, new=False)


def _run(
    run: Path, setup: Setup, state: State, report: Report, workers: int, actors: int, *, new: bool
) -> dict[str, Any]:
    state.params = {name: value.to(setup.device) for name, value in state.params.items()}
    state.moments = {name: value.to(setup.device) for name, value in state.moments.items()}
    state.kept = {name: value.to(setup.device) for name, value in state.kept.items()}
    pooled, exact = ThreadPoolExecutor(workers), exact_float32(setup.device)
    with exact, pooled as pool, updates(setup, state, pool, actors) as take:
        if new and setup.group.leads:  # only now, when nothing more can be refused
            checkpoint.create_run(run, setup.config)
            keep_held_out(run, setup.config)
        setup.group.wait()
        meter, leads = Meter(setup.device, workers, actors, setup.group.size), setup.group.leads
        with closing(Journal(run, state.journal, setup.config.model_dump()) if leads else NoJournal()) as journal:
            loop = _Loop(run, setup, state, journal, pool, take, meter, report)
            if new and setup.config.start is not None:
                loop.save()  # the weights there may change before the first checkpoint here
            loop.run_to_end()
    return state.metrics


def _unheard(news: StepReport | EpochReport) -> None:
    pass


class _Loop:
    """One sitting of a run: `state` moves on with every step, and reaches the disk in `save`."""

    def __init__(
        self,
        run: Path,
        setup: Setup,
        state: State,
        journal: Journal | NoJournal,
        pool: Executor,
        take: Take,
        meter: Meter,
        report: Report,
    ) -> None:
        self.run, self.setup, self.state = run, setup, state
        self.journal, self.pool, self.take, self.meter = journal, pool, take, meter
        self.report = report if setup.group.leads else _unheard
        self.config, self.plan = setup.config, setup.plan
        self.saved_at = time.monotonic()
        self.step_seconds = self.evaluation_seconds = 0.0

    def run_to_end(self) -> None:
        state, per_epoch = self.state, self.plan.steps_per_epoch
        while state.step < self.plan.total_steps:
            for chosen in self.batches_left():
                began = time.monotonic()
                loss = self.step(chosen)
                self.measure(time.monotonic() - began, len(chosen), loss)
                if state.step % per_epoch == 0:
                    self.finish_epoch()
                elif self.due():
                    self.save()

    def batches_left(self) -> Iterator[Tensor]:
        """Indices of the images of each batch that the epoch under way has not seen; the shuffle is the epoch's own."""
        epoch, done = divmod(self.plan.own_step(self.state.step), self.plan.steps_per_epoch)
        order = torch.randperm(self.plan.images, generator=stream(self.config.seed, "shuffle", epoch))
        return iter(order.to(self.setup.device).split(self.config.batch)[done:])

    def step(self, chosen: Tensor) -> float:
        """One update of the parameters from the images `chosen` [B]; returns the loss."""
        plan, state = self.plan, self.state
        x, y = self.setup.train_images(chosen, plan.own_step(state.step)), self.setup.train_y[chosen]
        found = self.take(x, y)
        if not (math.isfinite(found.loss) and math.isfinite(found.norm)):
            raise GlscertError(
                f"training stopped at step {state.step + 1} of {plan.total_steps}: the loss is {found.loss} and the "
                f"norm of its gradient {found.norm}. The last checkpoint in {self.run} is kept; start anew with a "
                "smaller lr or eps."
            )
        state.params, state.moments = found.params, found.moments
        state.step += 1
        for name, value in (("loss", found.loss), ("certified", found.certified), ("images", 1.0)):
            if value is not None:
                state.sums[name] = state.sums.get(name, 0.0) + value * len(chosen)
        return found.loss

    def measure(self, seconds: float, images: int, loss: float) -> None:
        """Keeps time, reports the step, and writes it down every few."""
        state, plan = self.state, self.plan
        state.seconds += seconds
        self.meter.step(state.sums, seconds)
        self.step_seconds = seconds if self.step_seconds == 0 else 0.95 * self.step_seconds + 0.05 * seconds
        rate = min(self.config.batch, plan.images) / self.step_seconds
        epoch = (state.step - 1) // plan.steps_per_epoch + 1
        evaluations = plan.total_epochs - epoch + 1
        left = (plan.total_steps - state.step) * self.step_seconds + evaluations * self.evaluation_seconds
        self.report(StepReport(state.step, plan.total_steps, epoch, plan.total_epochs, loss, rate, left))
        if state.step % self.config.log_steps == 0:
            record = {"kind": "step", "loss": loss, **self.schedules(), "images_per_s": round(images / seconds, 1)}
            self.journal.write(state.step, record)

    def schedules(self) -> dict[str, float]:
        """What the step taken last was taken with; sigma only where the method has noise."""
        step, method = self.plan.own_step(self.state.step - 1), METHODS[self.config.method]
        found = {"eps": self.plan.eps(step), "lr": self.plan.lr(step)}
        if method.sigma is not None:
            options = method.options(**self.config.options)
            found["sigma"] = method.sigma(options, self.plan.decays(step), self.state.moments)
        return found

    def finish_epoch(self) -> None:
        """Which weights go on, their test accuracies, the epoch's line, a checkpoint."""
        state, plan = self.state, self.plan
        began = time.monotonic()
        schedules, images = self.schedules(), state.sums.pop("images")
        chosen = choose_candidate(state, plan, state.sums["loss"] / images)
        chosen |= self.revive()
        accuracies = self.setup.held_accuracies(state.params, self.pool)
        chosen |= keep_best(state, plan, accuracies)
        accuracies |= self.setup.accuracies(state.params, self.pool)
        self.evaluation_seconds = time.monotonic() - began
        state.seconds += self.evaluation_seconds
        measured = self.meter.epoch(state.sums, images, self.evaluation_seconds)
        state.metrics = {
            "kind": "epoch",
            "epoch": state.step // plan.steps_per_epoch,
            **chosen,
            **schedules,
            **{f"train_{name}": total / images for name, total in state.sums.items()},
            **accuracies,
            **self.channels(),
            "seconds": round(state.seconds, 3),
            **measured,
        }
        state.sums = {}
        if plan.choosing(state.step) and plan.own_step(state.step) == 0:
            state.params, state.moments = self.setup.initial_params(plan.stage(state.step)), {}
        self.journal.write(state.step, state.metrics)
        self.save()
        self.report(EpochReport(state.metrics["epoch"], plan.total_epochs, state.metrics))

    def revive(self) -> dict[str, Any]:
        """Revives channels that do nothing; what the record says of it. The first process's bounds decide for all."""
        state, setup, step = self.state, self.setup, self.plan.own_step(self.state.step - 1)
        if not self.plan.reviving(step):
            return {}
        known = self.ends()
        if not setup.group.leads:
            known = {name: torch.zeros_like(pair) for name, pair in known.items()}
        known = setup.group.add(known)
        draw = stream(self.config.seed, "revive", state.step)
        params, moments, revived = revive(setup.net, state.params, state.moments, known, draw)
        if not revived:
            return {}
        state.params, state.moments = params, moments
        return {"revived_channels": revived}

    def ends(self) -> dict[str, Tensor]:
        setup, config = self.setup, self.config
        return ends(setup.objective, self.state.params, setup.train_x, setup.train_y, config.eps, setup.chunk)

    def channels(self) -> dict[str, Any]:
        """At the end of the warm-up, after the choice, and of the run: which channels do no work."""
        state, plan = self.state, self.plan
        warmed = not plan.choosing(state.step) and plan.own_step(state.step) == plan.candidate_steps
        if not self.setup.group.leads or not (warmed or state.step == plan.total_steps):
            return {}
        return as_record(survey(self.ends()))

    def due(self) -> bool:
        """Whether a checkpoint inside an epoch is due."""
        every = self.config.checkpoint_steps
        return (every is not None and self.state.step % every == 0) or (
            time.monotonic() - self.saved_at >= self.config.checkpoint_seconds
        )

    def save(self) -> None:
        """A checkpoint. Raises GlscertError where the disk refuses it; the one before stays."""
        setup = self.setup
        if not setup.group.leads:
            return
        try:
            self.state.journal = self.journal.sync()
            checkpoint.save(self.run, self.state, setup.net.graph, setup.objective.constants, setup.metadata)
        except OSError as error:
            raise GlscertError(
                f"could not write a checkpoint into {self.run}: {error.strerror}. Those before it are kept; make room "
                "and go on with --resume."
            ) from error
        self.saved_at = time.monotonic()
