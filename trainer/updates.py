"""What a mini-batch does to the parameters: Adam along a method's gradient, or a step of a method's own search."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from glscert.verifier.bounds.device import gets
from glscert.verifier.errors import InputError

from .checkpoint import State
from .evaluation import Search, Update
from .methods import METHODS
from .minibatch import Minibatch
from .optimiser import adam, clip
from .population import Batch, Population
from .randomness import stream
from .setup import Setup

Take = Callable[[Tensor, Tensor], Update]


@contextmanager
def updates(setup: Setup, state: State, pool: Executor, actors: int) -> Iterator[Take]:
    """The function from images x [B, *v] with labels y [B] to the update of `state`, which it leaves as it is.

    Raises InputError: actors where the method has no population, or too little memory for one.
    """
    config = setup.config
    method = METHODS[config.method]
    if method.search is not None:
        if setup.group.size > 1:
            raise InputError(f"torchrun shares gradients, and {config.method} has none; use --actors instead.")
        options = method.options(**config.options)
        fitness, begin = _fitness(setup, state, options, actors), method.search
        with ExitStack() as opened:

            def of_stage() -> Search:
                opened.close()
                search = begin(fitness, state.params, state.moments, options, actors=actors, pool=pool)
                return opened.enter_context(closing(search))

            search, known = of_stage(), state.params

            def take(x: Tensor, y: Tensor) -> Update:
                nonlocal search, known
                plan, step = setup.plan, setup.plan.own_step(state.step)
                if state.params is not known:  # others are to be searched from: of another candidate, or revived
                    search = of_stage()
                seed = stream(config.seed, "noise", step).initial_seed()
                batch = Batch(x, y, plan.eps(step), plan.reg_weight(step), plan.relaxation(step))
                found = search.step(batch, seed, plan.lr(step), _minibatch(setup, step, pool, x, y))
                known = found.params
                return found

            yield take
    elif method.gradient is not None:
        if actors:
            raise InputError(f"--actors shares a population, and {config.method} has none; use --method pgpe.")
        gradient = method.gradient

        def take(x: Tensor, y: Tensor) -> Update:
            plan, step = setup.plan, setup.plan.own_step(state.step)
            evaluate, options = _minibatch(setup, step, pool, x, y), method.options(**config.options)
            noise = stream(config.seed, "noise", step)
            found = gradient(evaluate, state.params, noise, options, plan.decays(step))
            clipped, norm = clip(found.gradient, config.grad_clip)
            params, moments = adam(state.params, state.moments, clipped, step, plan.lr(step))
            return Update(params, moments, found.loss, found.certified, norm)

        yield take


def _minibatch(setup: Setup, step: int, pool: Executor, x: Tensor, y: Tensor) -> Minibatch:
    config, plan, method = setup.config, setup.plan, METHODS[setup.config.method]
    options = method.options(**config.options)
    objective, chunk, kept = setup.bounding[plan.relaxation(step)]
    return Minibatch(
        objective,
        x,
        y,
        plan.eps(step),
        chunk,
        pool,
        reg_weight=plan.reg_weight(step),
        l1=config.l1,
        weights=setup.net.weights,
        loss=method.loss and partial(method.loss, options=options),
        stream=partial(stream, config.seed, "attack", step),
        annealing=plan.warming(step),
        group=setup.group,
        kept=kept,
    )


def _fitness(setup: Setup, state: State, options: Any, actors: int) -> Population:
    config, device = setup.config, setup.device
    share = -(-options.population // max(1, actors))  # so that no actor is idle
    members = config.members or min(gets(device).members, share)
    population = Population(setup.objective, setup.chunk, members, device, config.l1, setup.net.weights)
    example = Batch(setup.train_x[:1], setup.train_y[:1], config.eps, setup.plan.reg_weight(0))
    for name in config.relaxations:
        budget = config.memory_budget or gets(device).budget
        population = population.within(budget, state.params, example._replace(relaxation=name))
    return population
