"""What a configuration means for each step of a run of a certain length."""

from dataclasses import dataclass
from math import ceil

from .config import TrainConfig
from .objective import SMALLEST_EPS
from .schedules import multi_step, smooth_eps


@dataclass(frozen=True)
class Plan:
    """Steps are numbered from 0; an epoch has `steps_per_epoch`, and its last batch may be short.

    With `restarts` candidates the run's steps are those of one warm-up after the other (in whole epochs), then those
    of the chosen one's schedule that are left. `stage`, `choosing` and `own_step` take the run's step, all else the
    step within one network's schedule. The warm-up are the steps while eps grows, of which there may be none, and
    those until `warmup_end`.
    """

    config: TrainConfig
    images: int
    regularised: bool = True  # False for a network without nonlinearities, which has no boxes to keep small

    @property
    def steps_per_epoch(self) -> int:
        return ceil(self.images / self.config.batch)

    @property
    def steps(self) -> int:
        """Those of one network's schedule."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        return self.total_epochs * self.steps_per_epoch

    @property
    def total_epochs(self) -> int:
        return self.config.total_epochs

    @property
    def candidate_steps(self) -> int:
        """Those of one candidate, before the choice."""
        return self.config.warmup_epochs * self.steps_per_epoch

    def choosing(self, step: int) -> bool:
        """Whether the run's step is one of a candidate's, of several."""
        return self.config.restarts > 1 and step < self.config.restarts * self.candidate_steps

    def stage(self, step: int) -> int:
        """The candidate, from 0, that the run's step belongs to; their number after the choice; 0 without one."""
        if self.config.restarts == 1:
            return 0
        return min(step // self.candidate_steps, self.config.restarts)

    def own_step(self, step: int) -> int:
        """The run's step within the schedule of the network that takes it."""
        if self.choosing(step):
            return step % self.candidate_steps
        return step - (self.config.restarts - 1) * self.candidate_steps

    def at(self, fraction: float) -> int:
        """The step at which this fraction of the schedule is done."""
        return round(fraction * self.steps)

    def growing(self, step: int) -> bool:
        """Whether eps still grows."""
        return self.config.anneal and step < self.at(self.config.anneal_end)

    def warming(self, step: int) -> bool:
        """Whether the step belongs to the warm-up."""
        return self.growing(step) or (self.config.anneal and step < self.at(self.config.warmup_end))

    def relaxation(self, step: int) -> str:
        """That of the training loss."""
        return (self.warming(step) and self.config.warmup_relaxation) or self.config.relaxation

    def eps(self, step: int) -> float:
        config = self.config
        if not self.growing(step):
            return config.eps
        return smooth_eps(step, self.at(config.anneal_start), self.at(config.anneal_end), config.eps)

    def reg_weight(self, step: int) -> float:
        """The regulariser's: fast_reg (1 - eps / final eps), only while eps grows."""
        config = self.config
        wanted = self.regularised and config.regulariser and self.growing(step)
        if not wanted or config.eps <= SMALLEST_EPS:
            return 0.0
        return config.fast_reg * (1 - max(self.eps(step), SMALLEST_EPS) / config.eps)

    def reviving(self, step: int) -> bool:
        """Whether channels that do nothing are revived after an epoch whose last step this is."""
        return step < min(self.at(self.config.revive), self.steps - 1)

    def decays(self, step: int) -> int:
        """Milestones reached: how often the learning rate, and RGS's sigma, have decayed."""
        return sum(step >= self.at(milestone) for milestone in self.config.milestones)

    def lr(self, step: int) -> float:
        return multi_step(step, self.config.lr, self.config.lr_decay, [self.at(m) for m in self.config.milestones])
