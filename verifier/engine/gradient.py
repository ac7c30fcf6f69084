"""What descents go by: outputs, and the slopes of linear forms over them with respect to the input."""

from collections.abc import Callable

import numpy as np

from .engine import Engine
from .plan import Array
from .steps import Bend

Pull = Callable[[Array], Array]


def outputs_and_gradient(engine: Engine, x: Array) -> tuple[Array, Pull]:
    """The outputs [B, K] at inputs x [B, n], and what takes a form over the outputs of each [B, K] to its gradient
    [B, n] there. At a kink the slope is that of one side."""
    values = engine.values(np.asfortranarray(x))  # entries of several inputs side by side

    def pull(form: Array) -> Array:
        carried = {engine.output: np.asfortranarray(form, engine.dtype)}
        for step in reversed(engine.steps):
            coef = carried.pop(step.out, None)
            if coef is None:
                continue
            if isinstance(step, Bend):
                inputs: tuple[int, ...] = (step.into,)
                parts: tuple[Array, ...] = (coef * step.function.slope(values[step.into]),)
            else:
                inputs, parts = step.inputs, step.back(coef)
            for number, part in zip(inputs, parts, strict=True):
                carried[number] = carried[number] + part if number in carried else part
        return carried[0]

    return values[engine.output], pull
