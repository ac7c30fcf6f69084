"""A network as dense layers with ReLUs between them, where it is nothing else."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..functions import FUNCTIONS
from .engine import Engine
from .plan import Array
from .steps import Affine

_MOST_ENTRIES = 1 << 20  # of a layer's matrix, and on the way to it: convolutions written out grow fast
_MOST_SPELLED = 1 << 11  # outputs of a layer whose rows begin as those of the identity


class DenseLayer(NamedTuple):
    """y = W x + b: weight [out, in], bias [out], float64. noise [out, in], floor [out]: noise |x| + floor is what the
    network's own arithmetic rounds there at most (`errors`); None where that is nothing."""

    weight: Array
    bias: Array
    noise: Array | None = None
    floor: Array | None = None

    def rows(self, directions: Array) -> "DenseLayer":
        """Rows [M, out] of what it computes."""
        parts = [each if each is None else abs(directions) @ each for each in (self.noise, self.floor)]
        return DenseLayer(directions @ self.weight, directions @ self.bias, *parts)


def dense_layers(engine: Engine) -> list[DenseLayer] | None:
    """The affine layers from the input to the output, a ReLU after each but the last; engine: in float64.

    None where the network has another nonlinearity, branches that meet after one, no ReLU at all, or a matrix of more
    than 2^20 entries.
    """
    layers, source, segment = list[DenseLayer](), 0, list[Affine]()
    for step in engine.steps:
        if isinstance(step, Affine):
            segment.append(step)
            continue
        layer = _layer(engine, segment, source, step.into)
        if layer is None or step.function is not FUNCTIONS["Relu"]:
            return None
        layers.append(layer)
        source, segment = step.out, []
    last = _layer(engine, segment, source, engine.output)
    return None if last is None or not layers else [*layers, last]


def _layer(engine: Engine, steps: Sequence[Affine], source: int, output: int) -> DenseLayer | None:
    """The affine map from the value `source` to `output`; None where it reads anything else, or is too large."""
    outputs, known = engine.size(output), {source} | {step.out for step in steps}
    widest = max(engine.size(number) for number in known - {output} | {source})  # what the rows pass through
    if widest * outputs > _MOST_ENTRIES or output not in known or any(not known.issuperset(s.inputs) for s in steps):
        return None
    values = {source: np.zeros((1, engine.size(source)))}
    for step in steps:
        values[step.out] = step.forward(*(values[number] for number in step.inputs))
    # rows of the identity carried back; of a product its matrix to begin with
    last = steps[-1] if steps and steps[-1].out == output else None
    if last is not None and last.matrix is not None:
        weight = _back(steps[:-1], source, last.inputs[0], last.matrix)
    elif outputs <= _MOST_SPELLED:
        weight = _back(steps, source, output, np.eye(outputs))
    else:
        return None
    found = DenseLayer(weight, values[output][0])
    return found._replace(**_noise(engine, steps, source, output)) if engine.deployed.unit else found


def _noise(engine: Engine, steps: Sequence[Affine], source: int, output: int) -> dict[str, Array]:
    """Of the steps to `output`: what each unit of the source's entries, and what is always summed, makes them round."""
    entries = engine.size(source)
    sizes = {source: np.eye(entries + 1, entries)}
    errors = {source: np.zeros((entries + 1, entries))}
    for step in steps:
        size = step.spread(*(sizes[number] for number in step.inputs))
        error = step.spread(*(errors[number] for number in step.inputs))
        if step.offset is not None:
            size[-1] += abs(step.offset)
        own = engine.network_rounding[step.out]
        error = error + own.part * size + own.beneath(sizes)
        error[-1] += own.fixed[0]
        sizes[step.out], errors[step.out] = size + own.part * size, error
    return {"noise": np.ascontiguousarray(errors[output][:-1].T), "floor": errors[output][-1]}


def _back(steps: Sequence[Affine], source: int, output: int, rows: Array) -> Array:
    """rows [R, entries] over the value `output` as rows over `source`."""
    found = {output: rows}
    for step in reversed(steps):
        if step.out not in found:
            continue
        for number, part in zip(step.inputs, step.back(found.pop(step.out)), strict=True):
            found[number] = found[number] + part if number in found else part
    return found[source]
