"""What a training method asks for and gets, and what it makes of one mini-batch."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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


class Evaluate(Protocol):
    """Evaluates a mini-batch."""

    def __call__(self, params: Params, shifts: Params | None = None) -> Evaluation:
        """At `params`, or the mean over `params` + each of `shifts`, which have an axis of members first."""
        ...


class Update(NamedTuple):
    """A step taken: new parameters and state of the optimiser; loss and share proved, and the gradient's L2 norm."""

    params: Params
    moments: Params
    loss: float
    certified: float | None
    norm: float


class Search(Protocol):
    """A method that takes the steps itself; what it keeps between them is in `Update.moments`."""

    def step(self, batch: Any, seed: int, lr: float, evaluate: Evaluate | None = None) -> Update:
        """The update from a mini-batch (a `population.Batch`), with whatever is random drawn from `seed`.

        `evaluate` gives gradients on the same mini-batch to a method that can use them.
        """
        ...

    def close(self) -> None:
        """Ends what was started for it."""
        ...
