"""How a mini-batch changes the parameters: one file per method, listed here.

A method is its `Options` (pydantic) and either of

- `gradient(evaluate, params, generator, options, decays) -> Evaluation`, where `evaluate(params)` gives loss and
  gradient of the mini-batch, `evaluate(params, shifts)` their mean over shifted weights, and `decays` counts the
  milestones passed; Adam follows it;
- `search(fitness, params, moments, options, *, actors, pool) -> Search`, which takes the steps itself, from
  `fitness(stacked parameters, batch)` alone.

A method with a gradient may bring the robust loss that is minimised, in place of the cross-entropy of the relaxation's
bounds: `loss(objective, params, images, options) -> LossParts` for some `Images`, called on several threads.
`check(graph, relaxation, options)` raises InputError where that cannot be. `defaults(dataset, eps)` are the values of a
configuration that suit the method better than the data set's. `sigma(options, decays, moments)` is the noise's standard
deviation after a step, for the learning curves.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from glscert.verifier.graph import Graph

from ..evaluation import Evaluation, Params, Search
from ..objective import LossParts
from . import grad, mtl_ibp, pgd, pgpe, rgs, sabr, staps, taps

Defaults = Callable[[str, float], Mapping[str, Any]]


def _none(dataset: str, eps: float) -> Mapping[str, Any]:
    return {}


class Method(NamedTuple):
    options: type[BaseModel]
    gradient: Callable[..., Evaluation] | None = None
    loss: Callable[..., LossParts] | None = None
    check: Callable[..., None] | None = None
    defaults: Defaults = _none
    search: Callable[..., Search] | None = None
    sigma: Callable[[Any, int, Params], float] | None = None

    def verify(self, graph: Graph, relaxation: str, options: Mapping[str, Any]) -> None:
        """Raises InputError where the method cannot train this network with these bounds."""
        if self.check is not None:
            self.check(graph, relaxation, self.options(**options))


METHODS: dict[str, Method] = {
    "grad": Method(grad.Options, grad.gradient),
    "rgs": Method(rgs.Options, rgs.gradient, sigma=rgs.sigma),
    "pgpe": Method(pgpe.Options, search=pgpe.search, defaults=pgpe.defaults, sigma=pgpe.sigma),
    "pgd": Method(pgd.Options, grad.gradient, pgd.loss, defaults=pgd.defaults),
    "sabr": Method(sabr.Options, grad.gradient, sabr.loss, sabr.check, sabr.defaults),
    "taps": Method(taps.Options, grad.gradient, taps.loss, taps.check, taps.defaults),
    "staps": Method(staps.Options, grad.gradient, staps.loss, staps.check, taps.defaults),
    "mtl-ibp": Method(mtl_ibp.Options, grad.gradient, mtl_ibp.mtl_loss, defaults=mtl_ibp.defaults),
    "cc-ibp": Method(mtl_ibp.Options, grad.gradient, mtl_ibp.cc_loss, defaults=mtl_ibp.defaults),
    "exp-ibp": Method(mtl_ibp.Options, grad.gradient, mtl_ibp.exp_loss, defaults=mtl_ibp.defaults),
}


def resolve_options(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """`given` checked against the method's options, with its defaults filled in."""
    return METHODS[method].options(**given).model_dump()
