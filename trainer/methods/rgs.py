"""RGS, randomised gradient smoothing: the mean gradient at weights shifted by Gaussian noise (paper, Sec. 3.4).

    g = 1/n sum_i grad L(theta + e_i),   e_i ~ N(0, sigma^2 I)

an unbiased gradient of the loss smoothed over the weights, E_e L(theta + e); n = 2 suffices. Antithetic noise comes in
pairs e, -e, so that what the gradient has of odd order in e cancels: of two samples it takes off 60 to 75 % of the
variance (benchmarks/control_variate.py). It is not the default, as the paper draws each anew, and whether it trains
better networks has not been measured.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from ..evaluation import Evaluate, Evaluation, Params


class Options(BaseModel):
    """sigma: standard deviation of the noise; times `decay` at each learning-rate milestone; `samples`: n."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sigma: float = Field(1e-3, ge=0)
    decay: float = Field(0.4, gt=0, le=1)
    samples: int = Field(2, ge=1)
    antithetic: bool = False

    @model_validator(mode="after")
    def _pairs(self) -> "Options":
        if self.antithetic and self.samples % 2:
            raise PydanticCustomError(
                "pairs", "samples = {n} must be even: antithetic noise comes in pairs", {"n": self.samples}
            )
        return self


def sigma(options: Options, decays: int, moments: Params) -> float:
    """The noise's standard deviation after so many milestones."""
    return options.sigma * options.decay**decays


def gradient(
    evaluate: Evaluate, params: Params, generator: torch.Generator, options: Options, decays: int
) -> Evaluation:
    """Mean loss and mean gradient over `samples` shifted copies of `params`; noise comes from `generator` (CPU)."""
    deviation = sigma(options, decays, {})
    draw = antithetic if options.antithetic else independent
    return evaluate(params, {name: deviation * e for name, e in draw(params, options.samples, generator).items()})


def independent(params: Params, n: int, generator: torch.Generator) -> Params:
    """Standard normal noise: `n` members [n, *shape] for each parameter, on its device."""
    return {name: _normal(value, n, generator) for name, value in params.items()}


def antithetic(params: Params, n: int, generator: torch.Generator) -> Params:
    """Likewise in pairs: the first n / 2 members, and then their negatives."""
    half = independent(params, n // 2, generator)
    return {name: torch.cat([noise, -noise]) for name, noise in half.items()}


def _normal(like: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, *like.shape, generator=generator, dtype=like.dtype).to(like.device)
