"""GRAD: the gradient at the weights themselves, by automatic differentiation."""

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ..evaluation import Evaluate, Evaluation


class Options(BaseModel):
    """GRAD has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def gradient(
    evaluate: Evaluate, params: dict[str, Tensor], generator: torch.Generator, options: Options, decays: int
) -> Evaluation:
    """Loss and gradient at `params`; nothing is drawn from `generator`."""
    return evaluate(params)
