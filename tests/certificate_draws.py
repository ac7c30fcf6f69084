"""Random certificates, of every kind of answer and node."""

import numpy as np

from glscert.verifier.check.values import (
    PLAIN,
    Answer,
    Certificate,
    Cut,
    Falsified,
    Group,
    InputSplit,
    Leaf,
    Misclassified,
    NeuronSplit,
    Node,
    Proved,
    Said,
    Slopes,
    Tree,
    Uncovered,
    Witness,
)


def number(rng: np.random.Generator) -> int:
    """Of any size that a varint has."""
    return int(rng.integers(0, 2 ** int(rng.choice([1, 7, 8, 14, 40, 63]))))


def increasing(rng: np.random.Generator, most: int = 4) -> tuple[int, ...]:
    return tuple(sorted({number(rng) for _ in range(int(rng.integers(1, most + 1)))}))


def leaf(rng: np.random.Generator, splits: int) -> Leaf:
    if rng.random() < 0.5:
        return PLAIN
    weights = tuple(rng.integers(0, 65536, int(rng.integers(1, 4))).tolist()) if rng.random() < 0.5 else ()
    slopes = [Slopes.DEFAULT, Slopes.SAME, rng.bytes(int(rng.integers(0, 5)))][int(rng.integers(3))]
    multipliers = tuple(float(np.float32(m)) for m in rng.exponential(size=splits) * (rng.random(splits) < 0.5))
    return Leaf(weights if any(weights) else (), slopes, multipliers if any(multipliers) else ())


def nodes(rng: np.random.Generator, depth: int, splits: int = 0, inputs: bool = False) -> list[Node]:
    """In preorder."""
    if depth == 0 or rng.random() < 0.3:
        return [leaf(rng, splits)]
    if inputs and rng.random() < 0.3:
        places = [(number(rng) // 4, int(rng.integers(2))) for _ in range(3)]
        cut = Cut(tuple((entry, side, float(rng.normal())) for entry, side in places))
        return [cut, *nodes(rng, depth - 1, 0, True)]
    if inputs:
        first: Node = InputSplit(number(rng), float(rng.normal()), bool(rng.random() < 0.5))
        return [first, *nodes(rng, depth - 1, 0, True), *nodes(rng, depth - 1, 0, True)]
    first = NeuronSplit(number(rng), number(rng), None if rng.random() < 0.5 else float(rng.normal()))
    return [first, *nodes(rng, depth - 1, splits + 1), *nodes(rng, depth - 1, splits + 1)]


def group(rng: np.random.Generator) -> Group:
    clauses, trees = increasing(rng, 6), []
    for first in range(0, len(clauses), 2):
        own = tuple(nodes(rng, int(rng.integers(0, 5)), inputs=bool(rng.random() < 0.5)))
        trees.append(Tree(clauses[first : first + 2], own))
    return Group(int(rng.integers(3)), tuple(trees))


def answer(rng: np.random.Generator) -> Answer:
    kind = int(rng.integers(4))
    if kind == 0:
        return Uncovered(Said(int(rng.integers(1, 7))))
    if kind == 1:
        return Proved(tuple(group(rng) for _ in range(int(rng.integers(0, 3)))))
    if kind == 2:
        codes = tuple(rng.integers(0, 4, int(rng.integers(0, 10))).tolist())
        explicit = tuple(float(np.float32(v)) for v in rng.normal(size=codes.count(3)))
        return Falsified(Witness(codes, explicit, bool(rng.random() < 0.5)))
    return Misclassified()


def certificate(rng: np.random.Generator) -> Certificate:
    keys = increasing(rng, 5) if rng.random() < 0.9 else ()
    questions = {"kind": "labelled", "eps": [(0.1).hex()], "task": {"task": "classification", "é": None}}
    arithmetic = str(rng.choice(["float32", "real"]))
    answers = tuple((key, answer(rng)) for key in keys)
    return Certificate(arithmetic, rng.bytes(32).hex(), questions, "glscert 0.1.0", answers)
