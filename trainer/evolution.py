"""evotorch's PGPE around a fitness of ours: one mini-batch is one generation, sampled, evaluated and followed.

evotorch (Toklu et al., 2023) samples, ranks and updates; the population lives in this process and on the CPU, so that
a seed draws the same on every device, and only the fitness runs elsewhere: on a GPU, or on evotorch's actors, processes
that Ray holds. All its state between steps is the centre (the parameters), one sigma per parameter and the optimiser's
tensors; the generator is seeded anew for each step.
"""

import logging
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from . import ray_cluster
from .evaluation import Evaluate, Params, Update
from .methods import rgs
from .randomness import stream

_log = logging.getLogger("evotorch")
_log.setLevel(logging.ERROR)  # of the import: that the logger is configured already, where it is
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own uses of what torch gives up
    from evotorch import Problem, SolutionBatch
    from evotorch.algorithms import PGPE
_log.setLevel(logging.WARNING)  # else it tells of each object it makes, on stdout

STATE = "pgpe/"  # before the names of what is saved beside the parameters
Fitness = Callable[..., tuple[Tensor, Tensor]]


class Evolution:
    """PGPE (a `Search`) from the centre `params`, continued where `moments` holds the state of an earlier step.

    fitness(stack, batch, pool): losses [P] and shares proved [P] of stacked parameters, float64 on the CPU.
    `members` is the most that an actor evaluates at a time, `actors` the number of processes (0: this one). `control`
    names the gradient that is the control variate, `control_samples` are those of RGS; see `methods.pgpe`.
    """

    def __init__(
        self,
        fitness: Fitness,
        params: Params,
        moments: Params,
        *,
        population: int,
        sigma: float,
        sigma_lr: float,
        sigma_max_change: float,
        ranking: str,
        optimiser: str,
        symmetric: bool,
        control: str,
        control_samples: int,
        members: int,
        actors: int = 0,
        gpus: bool = False,
        pool: Executor | None = None,
    ) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in params.items()}
        self.device = next(iter(params.values())).device
        self.control, self.control_samples = control, control_samples
        self.problem = _Problem(fitness, self.shapes, members, actors, gpus, pool)
        self.search = _Generation(
            self.problem,
            popsize=population,
            center_init=torch.cat([value.flatten() for value in params.values()]).cpu(),
            center_learning_rate=1.0,  # set before each step
            stdev_init=moments[f"{STATE}sigma"].cpu() if moments else sigma,
            stdev_learning_rate=sigma_lr,
            stdev_max_change=sigma_max_change,
            ranking_method=ranking,
            optimizer=optimiser,
            symmetric=symmetric,
        )
        self._restore({name.removeprefix(STATE): value.cpu() for name, value in moments.items()})

    def step(self, batch: Any, seed: int, lr: float, evaluate: Evaluate | None = None) -> Update:
        """One generation on `batch`, drawn from `seed`; the update has the population's mean loss and share proved.

        `evaluate` is the same mini-batch, for the control variate. Raises GlscertError where an actor is lost.
        """
        self.problem.batch = batch
        self.search.linear = None if self.control == "none" else self._linear(evaluate, seed)
        self.problem.manual_seed(seed)
        for group in self.search.optimizer.param_groups:
            group["lr"] = lr
            if "max_speed" in group:  # ClipUp: twice the rate, which evotorch only does at the start
                group["max_speed"] = 2 * lr
        with ray_cluster.failures():
            self.search.step()
        params = self._named("center")
        loss, certified = self.search.population.access_evals().mean(0).tolist()
        return Update(params, self._state(), loss, certified, float(torch.linalg.vector_norm(self.search.gradient)))

    def close(self) -> None:
        """Ends the actors."""
        self.problem.close()

    def _linear(self, evaluate: Evaluate | None, seed: int) -> Tensor:
        """The control variate's gradient [n], with noise of its own, independent of the population's."""
        if evaluate is None:
            raise ValueError("a control variate needs the mini-batch's gradients")
        params, shifts = self._named("center"), None
        if self.control == "rgs":
            noise = rgs.antithetic(params, self.control_samples, stream(seed, "noise", 1))
            shifts = {name: value * noise[name] for name, value in self._named("stdev").items()}
        gradient = evaluate(params, shifts).gradient
        return torch.cat([gradient[name].flatten() for name in params]).cpu()

    def _named(self, status: str) -> Params:
        """A copy of evotorch's own, which cannot be written to, as parameters."""
        values = self.search.status[status].clone().to(self.device)
        return {name: value[0] for name, value in unflatten(values[None], self.shapes).items()}

    def _state(self) -> Params:
        state = {"sigma": self.search.status["stdev"].clone()}
        optimiser = self.search.optimizer
        if isinstance(optimiser, torch.optim.Optimizer):
            state |= optimiser.state_dict()["state"].get(0, {})
        else:
            state["velocity"] = optimiser._velocity
        return {STATE + name: value.clone() for name, value in state.items() if isinstance(value, Tensor)}

    def _restore(self, state: Params) -> None:
        tensors = {name: value.clone() for name, value in state.items() if name != "sigma"}
        optimiser = self.search.optimizer
        if not tensors:
            return
        if isinstance(optimiser, torch.optim.Optimizer):
            optimiser.load_state_dict({**optimiser.state_dict(), "state": {0: tensors}})
        else:
            optimiser._velocity = tensors["velocity"]


def unflatten(values: Tensor, shapes: dict[str, tuple[int, ...]]) -> Params:
    """Rows of `values` [P, n] as stacked parameters, each [P, *shape]."""
    parts = values.split([prod(shape) for shape in shapes.values()], 1)
    return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


class _Generation(PGPE):
    """PGPE whose step ends with the update, where evotorch's own waits for the next step: the same sequence.

    `linear` [n] is the gradient of a linear function that is taken off the losses; the gradient of its mean, sigma^2
    times it in evotorch's scale, is added to the estimate.
    """

    linear: Tensor | None = None

    def _step_non_distributed(self) -> None:
        population = SolutionBatch(self.problem, popsize=self._popsize, empty=True)
        self._distribution.sample(out=population.access_values(), generator=self.problem)
        self.problem.evaluate(population)
        self._population = population
        values, losses = population.access_values(keep_evals=True), population.access_evals(0)
        mu, sigma = self._distribution.mu, self._distribution.sigma
        if self.linear is not None:
            losses = losses - (values - mu) @ self.linear
        gradients = self._distribution.compute_gradients(
            values, losses, objective_sense="min", ranking_method=self._ranking_method
        )
        if self.linear is not None:
            gradients["mu"] = gradients["mu"] - sigma**2 * self.linear  # evotorch ascends
        self.gradient = gradients["mu"]
        self._update_distribution(gradients)


class _Problem(Problem):
    """To minimise `fitness` of `batch`; the share proved rides along as evaluation data."""

    def __init__(
        self,
        fitness: Fitness,
        shapes: dict[str, tuple[int, ...]],
        members: int,
        actors: int,
        gpus: bool,
        pool: Executor | None,
    ) -> None:
        self.fitness, self.shapes, self.pool, self.batch = fitness, shapes, pool, None
        self.cluster = ray_cluster.start(actors, gpus) if actors > 1 else None
        super().__init__(
            "min",
            solution_length=sum(prod(shape) for shape in shapes.values()),
            dtype=torch.float32,
            eval_data_length=1,
            num_actors=actors,
            num_gpus_per_actor=1 if gpus and actors > 1 else None,
            subbatch_size=members if actors > 1 else None,
            store_solution_stats=False,
        )

    @property
    def _nonserialized_attribs(self) -> list[str]:
        return ["pool", "batch", "cluster"]

    def seed(self, seed: int) -> None:
        """evotorch's actors ask a problem that has a generator for this, which it does not define (0.6.1)."""
        self.manual_seed(seed)

    def _make_sync_data_for_actors(self) -> Any:
        return tree_map_only(Tensor, Tensor.cpu, self.batch)

    def _use_sync_data_from_main(self, received: Any) -> None:
        self.batch = received

    def _evaluate_batch(self, solutions: SolutionBatch) -> None:
        stack = unflatten(solutions.access_values(keep_evals=True), self.shapes)
        losses, proved = self.fitness(stack, self.batch, self.pool)
        solutions.set_evals(torch.stack([losses, proved], 1).to(self.eval_dtype))

    def close(self) -> None:
        if self.actors is not None:
            self.kill_actors()
        if self.cluster is not None:
            self.cluster.close()
