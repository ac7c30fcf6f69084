"""Proofs in float32 hold for whatever a runtime may compute: sums in any order, fused or not (tests/runtimes.py)."""

import numpy as np
import pytest

import runtimes
from glscert.verifier.arithmetic import Arithmetic, Deployed
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.dense import dense_network
from glscert.verifier.engine.dual import dual_bounds, start_dual
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.errors import Errors, by_intervals
from glscert.verifier.engine.images import images, row_bounds
from glscert.verifier.engine.preactivations import relaxed
from glscert.verifier.engine.substitution import Spec
from glscert.verifier.functions import Box
from glscert.verifier.search.proof import closer
from glscert.verifier.search.row_lines import RowBounder
from random_graphs import CURVED, GRAPHS

EVERY = GRAPHS | CURVED
RUNS = 8
NONE = 0.0  # radius of a box of one point: what rounds is all that there is


class Case:
    """A network of float32 numbers, a box around a point, and what runtimes made of points in it [S, n]."""

    def __init__(self, name, seed, *, radius=NONE, scale=1.0):
        self.rng = rng = np.random.default_rng([seed, *name.encode()])
        self.graph, params = EVERY[name](rng)
        self.params = {key: np.float64(np.float32(scale * value)) for key, value in params.items()}
        self.engine = Engine(self.graph, self.params, arithmetic=Arithmetic.FLOAT32)
        centre = rng.uniform(-1, 1, self.engine.inputs)
        ends = np.float32([centre - radius, centre + radius]).astype(np.float64)
        self.box = Box(ends[:1], ends[1:])
        points = np.float32(rng.uniform(*ends, size=(40, self.engine.inputs)))
        points = np.clip(points, *ends.astype(np.float32)).astype(np.float64)
        runs = [runtimes.values(self.graph, self.params, points, rng) for _ in range(RUNS)]
        self.seen = {key: np.concatenate([run[key] for run in runs]).astype(np.float64) for key in runs[0]}
        self.spec = Spec(rng.normal(size=(1, 4, self.engine.outputs)), rng.normal(size=(1, 4)))

    @property
    def rows(self):
        """Of the rows what the runtimes' outputs give at least [4]."""
        rows, offset = (part[0] for part in self.spec)
        return (self.seen[self.graph.output] @ rows.T + offset).min(0)


def proved(case, engine):
    """Lower bounds [4] of the rows by intervals and by DeepPoly, less what they need; the boxes of the neurons."""
    anchor, spec = Anchor(case.box), case.spec
    needed = by_intervals(engine, anchor).rows(*spec)
    found = [(row_bounds(engine, images(engine, case.box), spec) - needed)[0]]
    errors = Errors(engine, anchor)
    pre, _ = relaxed(engine, anchor, errors)
    lower = dual_bounds(engine, spec, pre, start_dual(engine, pre, 4), None, anchor).bound
    for offset in (0.0, -float(lower.max())):  # a bound that is far from the border, and one at it
        own = Spec(spec.rows, spec.offset + offset)
        found.append((lower - closer(engine, anchor, own, pre, errors, lower + offset, memory=2**24))[0])
    return found, pre


@pytest.mark.parametrize("scale", (1.0, 4.0))
@pytest.mark.parametrize("name", EVERY)
def test_what_runtimes_compute_lies_within_the_bounds(name, scale):
    broken = 0
    for seed in range(3):
        case = Case(name, seed, scale=scale)
        found, pre = proved(case, case.engine)
        for bound in found:
            assert (bound <= case.rows).all()
        for value, box in pre.items():
            assert (case.seen[value] >= box.lower).all() and (case.seen[value] <= box.upper).all()
        broken += sum(int((bound > case.rows).sum()) for bound in proved(case, case.engine.real)[0])
    assert broken, "in real numbers nothing is broken: the runs show nothing"


@pytest.mark.parametrize("radius", (NONE, 0.1))
@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in ("affine_only",)])
def test_by_the_dense_program(name, radius):
    for seed in range(3):
        case = Case(name, seed, radius=radius)
        if dense_network(case.engine) is None:
            return
        rows, offset = case.spec.rows[:, :, None], case.spec.offset[:, :, None]
        bounder = RowBounder(case.engine, case.box, rows, offset, memory=2**24, stop=lambda: False)
        lines, signs = bounder(case.box, np.array([0]), np.zeros((1, case.engine.neurons), np.int8))
        assert ((lines.lowest - lines.needed)[0, :, 0] <= case.rows).all()
        seen = np.concatenate([case.seen[name] for name in case.engine.bends], 1)
        assert (seen[:, signs[0] > 0] >= 0).all() and (seen[:, signs[0] < 0] <= 0).all()


def test_sums_of_many_terms():
    own = Deployed(2.0**-24, 2.0**-126)
    assert own.summed(10) == pytest.approx(10 * 2.0**-24, rel=1e-5) and own.summed(10) > 10 * 2.0**-24
    assert own.summed(2**24) == np.inf
    assert Deployed(0.0, 0.0).summed(2**30) == 0
