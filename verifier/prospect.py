"""What verifying a network around one input is likely to take: its unstable neurons, and the time of one bound."""

import time
from dataclasses import dataclass

import numpy as np

from .engine.anchor import Anchor
from .engine.engine import Engine
from .engine.errors import Errors
from .engine.preactivations import unstable_preactivations
from .engine.substitution import Spec, relax, spec_bound
from .functions import Box


@dataclass(frozen=True)
class Layer:
    """The inputs of one nonlinearity; `unstable` of them on the box, None without one."""

    value: str
    shape: tuple[int, ...]
    neurons: int
    unstable: int | None = None


@dataclass(frozen=True)
class Prospect:
    """seconds: of one bound of every output, all neurons' boxes included."""

    layers: tuple[Layer, ...]
    seconds: float
    expectation: str


def layers(engine: Engine) -> tuple[Layer, ...]:
    return tuple(Layer(name, engine.graph.shapes[name], bend.size) for name, bend in engine.bends.items())


def prospect(engine: Engine, lower: np.ndarray, upper: np.ndarray) -> Prospect:
    """For the box [*v] of inputs."""
    anchor = Anchor(Box(*(end.reshape(1, -1).astype(np.float64) for end in (lower, upper))))
    began = time.perf_counter()
    pre = unstable_preactivations(engine, anchor, Errors(engine, anchor))
    rows = np.eye(engine.outputs)[None, : min(engine.outputs, 100)]
    spec_bound(engine, Spec(rows, np.zeros(rows.shape[:2])), relax(engine, pre), anchor)
    seconds = time.perf_counter() - began
    found = []
    for layer in layers(engine):
        unstable = int(engine.bends[layer.value].function.unstable(pre[layer.value]).sum())
        found.append(Layer(layer.value, layer.shape, layer.neurons, unstable))
    return Prospect(tuple(found), seconds, _expectation(sum(layer.unstable or 0 for layer in found), seconds))


def _expectation(unstable: int, seconds: float) -> str:
    if unstable == 0:
        return f"one bound decides it: about {seconds:.2g} s"
    if unstable <= 30:
        return f"some tens of bounds: about {30 * seconds:.2g} s"
    if unstable <= 300:
        return "the first bounds, or a search of hundreds to thousands of them; a close property may not be decided"
    return "the first bounds or never: a search over so many neurons seldom ends"
