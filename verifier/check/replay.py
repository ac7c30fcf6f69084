"""The network evaluated node by node in its own type, for witnesses: numpy's order of summation, one of those that a
runtime may take."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .curves import Greatest, Unary
from .network import INPUT, Network, inputs_of
from .questions import Asked, Question, Row
from .refusal import Refused
from .regions import close_roots
from .report import Outcome, Status
from .steps import Array
from .values import Answer, Falsified, Misclassified, Witness


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


class Pointed(NamedTuple):
    """A claim that rests on a point x [n] of a group."""

    key: int
    claim: Status
    group: Asked
    x: Array


def pointed(key: int, answer: Answer, question: Question, network: Network) -> list[Pointed]:
    """The points that an answer names, of each group in which one lies. Raises Refused where there is none."""
    place = f"answer {key}"
    if isinstance(answer, Misclassified):
        if not question.labelled:
            raise Refused(place, "only a labelled input is misclassified.")
        return [Pointed(key, Status.MISCLASSIFIED, question.groups[0], question.groups[0].middle)]
    if not isinstance(answer, Falsified):
        raise Refused(place, "it names no point.")
    found, why = [], Refused(place, "the question has no region that a witness could lie in.")
    for group in question.groups:
        try:
            found.append(Pointed(key, Status.FALSIFIED, group, point(answer.witness, group, network)))
        except Refused as error:
            why = error
    if not found:
        raise why
    return found


def replayed(network: Network, points: Sequence[Pointed]) -> list[Outcome]:
    """What becomes of each claim. Where the network keeps at a point what it is to keep, but by less than another
    order of summation may change, nothing is said."""
    outputs = evaluate(network, np.stack([own.x for own in points]))
    kept = [own for own, y in zip(points, outputs, strict=True) if not broken(own.group, own.x, y)]
    exact = [replace(own.group, lower=own.x.astype(np.float64), upper=own.x.astype(np.float64)) for own in kept]
    sure = {
        id(own)
        for own, closed in zip(kept, close_roots(network, network.arithmetic, exact, 0), strict=True)
        if closed.all()
    }
    unsure = {id(own) for own in kept} - sure
    found = []
    for own in points:
        place = f"answer {own.key}"
        if id(own) in sure:
            why = "evaluated here, the network keeps at this point what it is to keep."
            found.append(Outcome(own.key, Status.REFUSED, place, why))
        elif id(own) in unsure:
            why = "evaluated here, the network keeps what it is to keep, by less than rounding may change."
            found.append(Outcome(own.key, Status.NOT_COVERED, place, why))
        else:
            found.append(Outcome(own.key, own.claim))
    return found


def broken(group: Asked, x: Array, y: Array) -> bool:
    """Whether some clause's rows are all not positive at a point x with outputs y. Numbers that are infinite or NaN
    break nothing."""
    if not np.isfinite(y).all():
        return False
    points, scores = x.astype(np.float64).tolist(), y.astype(np.float64).tolist()
    return any(all(_fails(row, points, scores) for row in rows) for rows in group.original)


def _fails(row: Row, x: list[float], y: list[float]) -> bool:
    value = row.value(x, y)
    return value < 0 if row.strict else value <= 0
