"""RGS, randomised gradient smoothing: the mean gradient at weights shifted by Gaussian noise (paper, Sec. 3.4).

    g = 1/n sum_i grad L(theta + e_i),   e_i ~ N(0, sigma^2 I)

an unbiased gradient of the loss smoothed over the weights, E_e L(theta + e); n = 2 suffices.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..evaluation import Evaluate, Evaluation, Params


class Options(BaseModel):
    """sigma: standard deviation of the noise; times `decay` at each learning-rate milestone; `samples`: n."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sigma: float = Field(1e-3, ge=0)
    decay: float = Field(0.4, gt=0, le=1)
    samples: int = Field(2, ge=1)


def sigma(options: Options, decays: int, moments: Params) -> float:
    """The noise's standard deviation after so many milestones."""
    return options.sigma * options.decay**decays


def gradient(
    evaluate: Evaluate, params: Params, generator: torch.Generator, options: Options, decays: int
) -> Evaluation:
    """Mean loss and mean gradient over `samples` shifted copies of `params`; noise comes from `generator` (CPU)."""
    deviation, n = sigma(options, decays, {}), options.samples
    shifts = {
        name: deviation * torch.randn(n, *p.shape, generator=generator, dtype=p.dtype).to(p.device)
        for name, p in params.items()
    }
    return evaluate(params, shifts)
