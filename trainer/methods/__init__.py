"""How a step's gradient is found: one file per method, listed here.

A method is its `Options` (pydantic) and `gradient(evaluate, params, generator, options, decays) -> Evaluation`, where
`evaluate(params)` gives loss and gradient of the mini-batch and `decays` counts the milestones passed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

from ..evaluation import Evaluation
from . import grad, rgs


class Method(NamedTuple):
    options: type[BaseModel]
    gradient: Callable[..., Evaluation]


METHODS: dict[str, Method] = {
    "grad": Method(grad.Options, grad.gradient),
    "rgs": Method(rgs.Options, rgs.gradient),
}


def resolve_options(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """`given` checked against the method's options, with its defaults filled in."""
    return METHODS[method].options(**given).model_dump()
