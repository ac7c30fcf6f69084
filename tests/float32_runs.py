"""What float32 runtimes may compute: every affine step of a network summed in a random order, with or without fused
multiply-add, with or without flushing to 0."""

import numpy as np

from glscert.verifier.check.builder import Step
from glscert.verifier.check.curves import Greatest, Unary
from glscert.verifier.check.network import INPUT, Network

SMALLEST = np.float32(2.0**-126)


def matrices(network: Network, step: Step) -> list[np.ndarray]:
    """Of an affine step [out, in], one for each input."""
    found = []
    for place, number in enumerate(step.inputs):
        values = [np.zeros((network.sizes[number], network.sizes[own])) for own in step.inputs]
        values[place] = np.eye(network.sizes[number])
        found.append(step.forward(values).T)
    return found


def flushed(values: np.ndarray, flush: bool) -> np.ndarray:
    return np.where(np.abs(values) < SMALLEST, np.float32(0), values) if flush else values


def summed(
    terms: list[tuple[np.float32, np.float32]], bias: np.float32, rng: np.random.Generator, fused: bool, flush: bool
):
    """Of products and a bias, in a random order; pairs of partial sums are added at random, too."""
    parts: list[np.float32] = [bias]
    for w, x in terms:
        if fused and parts and rng.random() < 0.5:
            last = parts.pop()
            parts.append(np.float32(np.float64(w) * np.float64(x) + np.float64(last)))
        else:
            parts.append(np.float32(w * x))
        if flush:
            parts = [part if abs(part) >= SMALLEST else np.float32(0) for part in parts]
    while len(parts) > 1:
        first, second = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        parts.append(np.float32(first + second))
        if flush and abs(parts[-1]) < SMALLEST:
            parts[-1] = np.float32(0)
    return parts[0]


def run(network: Network, x: np.ndarray, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """All tensors [n] float32 of one input [n] float32, and in float64 what each affine step should have given, by the
    negative of its tensor's number."""
    fused, flush = rng.random() < 0.5, rng.random() < 0.3
    values: dict[int, np.ndarray] = {INPUT: x.astype(np.float32)}
    for step in network.steps:
        if isinstance(step, Unary):
            values[step.output] = flushed(step.curve.value(values[step.input]).astype(np.float32), flush)
        elif isinstance(step, Greatest):
            values[step.output] = step.value(values[step.input][None])[0]
        else:
            ws = matrices(network, step)
            bias = np.zeros(network.sizes[step.output]) if step.bias is None else step.bias
            values[-step.output] = bias + sum(
                w @ values[number].astype(np.float64) for w, number in zip(ws, step.inputs, strict=True)
            )
            found = np.empty(network.sizes[step.output], np.float32)
            for entry in range(len(found)):
                terms = [
                    (flushed(np.float32(w[entry, k]), flush), flushed(values[number][k], flush))
                    for w, number in zip(ws, step.inputs, strict=True)
                    for k in rng.permutation(np.flatnonzero(w[entry]))
                ]
                exact = step.products == 0
                own = np.float32(bias[entry])
                found[entry] = (
                    terms[0][0] * terms[0][1] + own if exact and terms else summed(terms, own, rng, fused, flush)
                )
            values[step.output] = found
    return values
