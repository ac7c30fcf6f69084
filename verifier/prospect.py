"""What verifying a network around one input is likely to take: its unstable neurons, and the time of one bound."""

import time
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from .bounds.errors import Errors
from .bounds.interval import nonlinearities
from .bounds.specification import Spec
from .bounds.substitution import anchor, relax, spec_bound
from .graph import Model
from .ops import Box
from .search.intermediate import unstable_preactivations


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


def layers(model: Model) -> tuple[Layer, ...]:
    shapes = model.graph.shapes
    return tuple(Layer(name, shapes[name], prod(shapes[name])) for name in nonlinearities(model.graph))


def prospect(model: Model, lower: np.ndarray, upper: np.ndarray) -> Prospect:
    """For the box [*v] of inputs."""
    graph = model.graph
    params = {name: torch.tensor(value, dtype=torch.float64) for name, value in model.params.items()}
    box = Box(*(torch.from_numpy(end.astype(np.float64))[None] for end in (lower, upper)))
    began = time.perf_counter()
    base = anchor(graph, params, box)
    pre = unstable_preactivations(graph, params, base, Errors(graph, params, base))
    (outputs,) = graph.output_shape
    rows = torch.eye(outputs, dtype=torch.float64)[None, : min(outputs, 100)]
    spec_bound(graph, params, base, Spec(rows, rows.new_zeros(rows.shape[:2])), relax(graph, pre))
    seconds = time.perf_counter() - began
    found, operators = [], nonlinearities(graph)
    for layer in layers(model):
        unstable = int(operators[layer.value].unstable(pre[layer.value]).sum())
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
