"""PGPE, policy gradients with parameter-based exploration (Sehnke et al., 2010): Gaussian smoothing without gradients.

Pairs theta + e_i, theta - e_i, e_i ~ N(0, sigma^2), of n = P / 2, with losses r+_i and r-_i, give (paper, Sec. 3.3)

    g_theta = 1/n sum_i (r+_i - r-_i) / 2 * e_i
    g_sigma = 1/n sum_i ((r+_i + r-_i) / 2 - b) (e_i^2 - sigma^2) / sigma,      b = mean of all r

so that g_theta is sigma^2 times an unbiased gradient of the smoothed loss E L(theta + e). No gradient of the bounds is
taken, so that any relaxation will do. The sampling, the formulas and the optimisers are evotorch's; see `evolution`.

Bounds do have gradients almost everywhere, in every relaxation here, and the option `control` makes of them a control
variate. With g the gradient at theta (`grad`) or the mean of antithetic RGS (`rgs`) on the same mini-batch, whose noise
is independent of the e_i, losses are replaced by r(theta + e) - g e, and sigma^2 g is added to g_theta. E (g e) e is
sigma^2 g for any g, so that the mean stays; only what the loss has beside its linear part is left to chance. From the
sum r+_i + r-_i the linear part cancels, so that g_sigma is the same as without.

The paper states n_ps = 256, sigma = 1e-3, the schedule, a PGD-trained start, and that evotorch was used. What it leaves
open, and what is taken here:

- Ranking: `raw`, the losses themselves, is its formula; evotorch's default is `centered`, which replaces them by their
  ranks. Under Adam or ClipUp, which forget the gradient's scale, the two go equally fast.
- Optimiser of the centre: Adam, as in the paper's other training; evotorch's default is `clipup`. At the paper's
  learning rate 3e-4, CNN3-tiny from a PGD start (DeepPoly, eps 0.1, 80 steps of 32 images) brings the loss of 1,000
  test images from 1.94 to 1.85 with Adam, to 1.91 with ClipUp. ClipUp's steps, never longer than 6e-4 over all weights
  together, could hardly become unstable at n_ps = 64, as the paper saw (Figure 7).
- Learning rate of sigma: 0.1, that of evotorch's examples, undecayed; with raw losses sigma changes by a thousandth in
  100 steps. Bound on its change in one step: evotorch's 0.2.
- Which images: the whole population shares a mini-batch. `grad_clip` does not apply: the estimate has no fixed scale.
"""

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from glscert.verifier.errors import InputError

from ..evaluation import Params
from ..population import Population
from .settings import LARGE_EPS

if TYPE_CHECKING:
    from ..evolution import Evolution


class Options(BaseModel):
    """population: members; sigma: of the noise at the start, for every parameter alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: int = Field(256, ge=2)
    sigma: float = Field(1e-3, gt=0)
    sigma_lr: float = Field(0.1, ge=0)  # 0: sigma stays
    sigma_max_change: float = Field(0.2, gt=0)  # of itself, in a step
    ranking: Literal["raw", "centered", "linear", "nes", "normalized"] = "raw"
    optimiser: Literal["adam", "clipup", "sgd"] = "adam"
    symmetric: bool = True  # antithetic pairs; else each member has a noise of its own
    control: Literal["none", "grad", "rgs"] = "none"  # whose gradient is the control variate
    control_samples: int = Field(2, ge=2, multiple_of=2)  # of rgs

    @model_validator(mode="after")
    def _pairs(self) -> "Options":
        if self.symmetric and self.population % 2:
            raise PydanticCustomError(
                "pairs", "population = {n} must be even: noise comes in pairs", {"n": self.population}
            )
        return self

    @model_validator(mode="after")
    def _losses(self) -> "Options":
        if self.control != "none" and self.ranking != "raw":
            raise PydanticCustomError(
                "control",
                "control = {control} takes the linear part off the losses themselves, and ranking = {ranking} keeps "
                "only their order or scale; set ranking = raw, or control = none",
                {"control": self.control, "ranking": self.ranking},
            )
        return self


def search(
    fitness: Population,
    params: Params,
    moments: Params,
    options: Options,
    *,
    actors: int = 0,
    pool: Executor | None = None,
) -> "Evolution":
    """evotorch's search, begun at `params` or continued from `moments`. Raises InputError: more actors than parts."""
    from ..evolution import Evolution  # evotorch and Ray take seconds to import

    if actors > 1 and actors * fitness.members >= options.population + fitness.members:
        raise InputError(
            f"--actors {actors} would leave some idle: a population of {options.population} is evaluated "
            f"{fitness.members} at a time. Ask for fewer actors, or set members lower in the configuration."
        )
    gpus = fitness.device.type == "cuda"
    if actors > 1 and fitness.device.index:
        raise InputError(f"--actors gives each process a GPU of its own; give --device cuda, not {fitness.device}.")
    return Evolution(
        fitness, params, moments, members=fitness.members, actors=actors, gpus=gpus, pool=pool, **dict(options)
    )


def sigma(options: Options, decays: int, moments: Params) -> float:
    """The mean over the parameters of what has been learnt so far."""
    return float(moments["pgpe/sigma"].mean())  # where `evolution` keeps it


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """The paper's schedule (App. E.2) where it differs from that of gradient training."""
    schedule: dict[str, Any] = {
        "epochs": 150,
        "lr": 3e-4,
        "lr_decay": 0.4,
        "milestones": (110 / 150, 130 / 150),
        "anneal_start": 0.0,
        # the paper lets only the large eps grow, over the first 50 of 150 epochs
        "anneal_end": 50 / 150 if eps > LARGE_EPS.get(dataset, 1.0) else 0.0,
        "fast_reg": 0.0,  # of the warm-up from fresh weights; this one starts from trained ones
    }
    by_dataset: dict[str, dict[str, Any]] = {
        "mnist": {"batch": 512},
        # Fresh weights, as a first try has them, learn only where eps grows.
        "digits": {"epochs": 30, "batch": 64, "lr": 0.01, "anneal_end": 0.5},
    }
    return schedule | by_dataset.get(dataset, {})
