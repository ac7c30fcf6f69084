"""Questions about small dense networks that are true by little, and trees of them."""

from fractions import Fraction

import numpy as np

from glscert.verifier.check.checker import Checker, Region
from glscert.verifier.check.questions import Asked, Clauses, Row
from glscert.verifier.check.replay import evaluate
from glscert.verifier.check.values import Tree
from grown import neuron_tree
from onnx_models import make, node, relu_layers

ONE = Fraction(1)


def network(seed: int, hidden: int = 6) -> Checker:
    rng = np.random.default_rng([seed, 11])
    nodes, consts = relu_layers(rng, 2, hidden, hidden, 2)
    return Checker(make(nodes, (1, 2), consts))


def group_of(lower: np.ndarray, upper: np.ndarray, *rows: tuple[Row, ...], outputs: int = 2) -> Asked:
    return Asked(lower, upper, lower, upper, lower, Clauses(rows, len(lower), outputs), rows)


def least(checker: Checker, lower: np.ndarray, upper: np.ndarray) -> float:
    """Of y_0 - y_1 on a grid, in float32."""
    ends = [np.linspace(l, u, 60) for l, u in zip(lower, upper, strict=True)]
    y = evaluate(checker.network, np.stack(np.meshgrid(*ends), -1).reshape(-1, 2))
    return float((y[:, 0] - y[:, 1]).min())


def question(seed: int, room: float = 0.15) -> tuple[Checker, Asked, float]:
    """y_0 - y_1 + offset > 0, which is true by some room, in a box of half-width 0.5; and the offset."""
    checker = network(seed)
    centre = np.random.default_rng([seed, 12]).uniform(-0.5, 0.5, 2)
    lower, upper = centre - 0.5, centre + 0.5
    offset = room - least(checker, lower, upper)
    return checker, group_of(lower, upper, (Row(((0, ONE), (1, -ONE)), Fraction(offset)),)), offset


def ordered() -> tuple[Checker, Asked]:
    """Over [0, 1] x [0, 1]: x_1 > 1/2, or x_0 - x_1 > 1/4, or 2 x_0 + 2 x_1 < 13/5."""
    weights = np.array([[0.0, 1.0, -2.0], [1.0, -1.0, -2.0]], np.float32)
    offsets = Fraction(-1, 2), Fraction(-1, 4), Fraction(13, 5)
    rows = tuple(Row(((place, ONE),), offset) for place, offset in enumerate(offsets))
    checker = Checker(make([node("MatMul", "x W", "y")], (1, 2), {"W": weights}))
    return checker, group_of(np.zeros(2), np.ones(2), rows, outputs=3)


def grown(seed: int, rule: int = 2) -> tuple[Region, Tree]:
    """A tree of neuron splits of one of these questions."""
    for number in range(seed, seed + 1000, 50):
        checker, group, _ = question(number)
        region = checker.region(group, rule)
        tree = neuron_tree(region, 0)
        if tree is not None and len(tree.nodes) > 1:
            return region, tree
    raise AssertionError("no tree is grown")
