"""What a training method asks for and gets, and what it makes of one mini-batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

Params = dict[str, Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Loss (mean over images, with regularisers), share of images proved, and gradient per trainable parameter.

    The share is None where what is minimised proves nothing of the whole eps-box.
    """

    loss: float
    certified: float | None
    gradient: Params


Evaluate = Callable[[Params], Evaluation]


def mean(parts: Sequence[Evaluation]) -> Evaluation:
    """The mean of loss, share and gradient."""
    n = len(parts)
    gradient = {name: torch.stack([part.gradient[name] for part in parts]).mean(0) for name in parts[0].gradient}
    shares = [part.certified for part in parts if part.certified is not None]
    return Evaluation(sum(part.loss for part in parts) / n, sum(shares) / n if shares else None, gradient)


class Update(NamedTuple):
    """A step taken: new parameters and state of the optimiser; loss and share proved, and the gradient's L2 norm."""

    params: Params
    moments: Params
    loss: float
    certified: float | None
    norm: float


class Search(Protocol):
    """A method that takes the steps itself; what it keeps between them is in `Update.moments`."""

    def step(self, batch: Any, seed: int, lr: float) -> Update:
        """The update from a mini-batch (a `population.Batch`), with whatever is random drawn from `seed`."""
        ...

    def close(self) -> None:
        """Ends what was started for it."""
        ...
