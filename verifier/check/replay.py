"""The network evaluated node by node in its own type, for witnesses: numpy's order of summation, one of those that a
runtime may take."""

import numpy as np

from .boxes import INPUT
from .curves import Greatest, Unary
from .network import Network, inputs_of
from .questions import Asked, Question, Row
from .refusal import Refused
from .steps import Array
from .values import Witness


def evaluate(network: Network, x: Array) -> Array:
    """Outputs [B, K] of inputs x [B, n], in the network's type."""
    last = {number: place for place, step in enumerate(network.steps) for number in inputs_of(step)}
    values: dict[int, Array] = {INPUT: x.astype(network.floating)}
    with np.errstate(over="ignore", invalid="ignore"):
        for place, step in enumerate(network.steps):
            if isinstance(step, Greatest):
                found = step.value(values[step.input])
            elif isinstance(step, Unary):
                found = step.curve.value(values[step.input])
            else:
                found = step.forward([values[number] for number in step.inputs])
                if step.bias is not None:
                    found = found + step.bias.astype(network.floating)
            values[step.output] = found.astype(network.floating, copy=False)
            for number in {number for number in inputs_of(step) if last[number] == place}:
                if number != network.output:
                    del values[number]
    return values[network.output]


def point(witness: Witness, asked: Asked, network: Network) -> Array:
    """The witness's point [n], in the network's type. Raises Refused where it is none of the region's, or in another
    type."""
    size = len(asked.lower)
    if len(witness.codes) != size or witness.double != (network.floating == np.float64):
        raise Refused("witness", f"{len(witness.codes)} entries; the input has {size}, of {network.floating}.")
    codes = np.array(witness.codes)
    found = np.choose(np.minimum(codes, 2), [asked.middle, asked.least, asked.most]).astype(network.floating)
    found[codes == 3] = np.array(witness.explicit, network.floating)
    if not ((asked.least <= found) & (found <= asked.most)).all():
        raise Refused("witness", "the point lies outside what is fed of the region.")
    return found


def broken(question: Question, number: int, x: Array, y: Array) -> bool:
    """Whether a point of a group, with outputs y, is one where some clause's rows are all not positive. Numbers that
    are infinite or NaN break nothing."""
    if not np.isfinite(y).all():
        return False
    points, scores = x.astype(np.float64).tolist(), y.astype(np.float64).tolist()
    return any(all(_fails(row, points, scores) for row in rows) for rows in question.groups[number].original)


def _fails(row: Row, x: list[float], y: list[float]) -> bool:
    value = row.value(x, y)
    return value < 0 if row.strict else value <= 0
