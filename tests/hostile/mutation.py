"""A small valid ONNX file about to be changed in structure, and what changes draw from."""

import sys
from pathlib import Path

import numpy as np
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from test_translated import CASES

from glscert.verifier.graph.translate import TRANSLATIONS
from random_models import random_model

WHOLE = (0, 1, -1, 2, 3, 4, 5, -2, 7, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
REAL = (0.0, 1.0, -1.0, 0.5, 0.7, 0.3333333, 2.0, 1e-30, 1e16, -1e20, 3e38, float("nan"), float("inf"), -float("inf"))


class Mutation:
    """model: the file, valid at first; done: the changes so far."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 11])
        builders = list(CASES.values())
        if self.rng.random() < 0.5:
            self.model = builders[int(self.rng.integers(len(builders)))]()
        else:
            self.model = random_model(self.rng, set(TRANSLATIONS), int(self.rng.integers(1, 4)))
        self.graph = self.model.graph
        self.done: list[str] = []

    def one_of(self, items):
        items = list(items)
        return items[int(self.rng.integers(len(items)))] if items else None

    def values(self) -> list[str]:
        return ["x", *(name for node in self.graph.node for name in node.output if name)]

    def fresh(self) -> str:
        return f"new{len(self.graph.node)}_{len(self.graph.initializer)}"

    def constant(self, array: np.ndarray) -> str:
        name = self.fresh()
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name
