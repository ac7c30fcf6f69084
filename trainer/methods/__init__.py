"""How a step's gradient is found: one file per method, listed here.

A method is its `Options` (pydantic) and `gradient(evaluate, params, generator, options, decays) -> Evaluation`, where
`evaluate(params)` gives loss and gradient of the mini-batch and `decays` counts the milestones passed.

A method may bring the robust loss that is minimised, in place of the cross-entropy of the relaxation's bounds:
`loss(objective, params, x, y, eps, *, options, generator, annealing) -> LossParts` for some images x [B, *v] with
labels y [B], on threads of their own; `generator` is theirs alone, `annealing` says whether eps still grows.
`defaults` are the values of a configuration that suit the method better than the data set's.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from ..evaluation import Evaluation
from ..objective import LossParts
from . import grad, rgs


class Method(NamedTuple):
    options: type[BaseModel]
    gradient: Callable[..., Evaluation]
    loss: Callable[..., LossParts] | None = None
    defaults: Mapping[str, Any] = {}


METHODS: dict[str, Method] = {
    "grad": Method(grad.Options, grad.gradient),
    "rgs": Method(rgs.Options, rgs.gradient),
}


def resolve_options(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """`given` checked against the method's options, with its defaults filled in."""
    return METHODS[method].options(**given).model_dump()
