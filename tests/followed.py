"""Random networks of operators that the checker of certificates follows."""

import numpy as np

from glscert.verifier.check.checker import Checker
from glscert.verifier.check.moves import MOVES
from glscert.verifier.check.network import INPUT
from glscert.verifier.check.operators import OPERATORS
from glscert.verifier.check.refusal import NotCovered
from random_models import random_model

KNOWN = {*OPERATORS, *MOVES}


def drawn(seed: int) -> tuple[Checker, np.ndarray, np.ndarray, np.random.Generator]:
    """A network of operators that the checker follows, and a box."""
    rng = np.random.default_rng([seed, 77])
    while True:
        proto = random_model(rng, KNOWN, 2)
        try:
            checker = Checker(proto)
        except NotCovered:
            continue
        centre = rng.uniform(-1, 1, checker.network.sizes[INPUT])
        radius = rng.choice([0.0, 1e-3, 0.1, 1.0]) * rng.uniform(0, 1, centre.shape)
        return checker, centre - radius, centre + radius, rng
