"""The steps of an engine are the operators of the graph: values, the maps back, and those of sizes."""

import numpy as np
import pytest

from engine_cases import engine_case
from glscert.verifier.engine.steps import Affine
from random_graphs import CURVED, GRAPHS, Builder, arbitrary_convs
from reference import forward


def built(make):
    def of(rng):
        b = Builder((2, 3, 3), rng)
        return b.finish(make(b))

    return of


def seen_beside_the_map(b):
    """A kernel as large as the map, of which it sees but a part."""
    return b.relu(b.conv("x", 4, (3, 3), (3, 3), (1, 1, 1, 1)))


def one_weight_for_each_channel(b):
    return b.conv(b.relu(b.conv("x", 2, (1, 1), group=2)), 4, (1, 1), group=2)


NETWORKS = {
    **GRAPHS,
    **CURVED,
    **{f"convolutions {seed}": arbitrary_convs for seed in range(12)},
    "beside": built(seen_beside_the_map),
    "channelwise": built(one_weight_for_each_channel),
}


def steps(case):
    return [step for step in case.engine.steps if isinstance(step, Affine)]


@pytest.mark.parametrize("name", NETWORKS)
def test_values(name):
    case = engine_case(name, 1, make=NETWORKS[name])
    graph = case.engine.graph
    x = case.rng.normal(size=(3, case.engine.inputs))
    true = forward(graph, case.engine.params, x.reshape(-1, *graph.input_shape))
    found = case.engine.values(x)
    for each, number in case.engine.number.items():
        np.testing.assert_allclose(found[number], true[each].reshape(3, -1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_maps(name):
    """Back is the transpose, the spread has the matrix's sizes, and no sum is of more products than is said."""
    case = engine_case(name, 2, make=NETWORKS[name])
    for step in steps(case):
        sizes = [case.engine.size(number) for number in step.inputs]
        coef, none = case.rng.normal(size=(3, step.size)), [np.zeros((1, size)) for size in sizes]
        radii, spread = [case.rng.random((2, size)) for size in sizes], 0
        for place, part in enumerate(step.back(coef)):
            eye = [*none]
            eye[place] = np.eye(sizes[place])
            eye = [np.broadcast_to(each, (sizes[place], each.shape[1])) for each in eye]
            matrix = step.linear(*eye)  # [in, out]
            np.testing.assert_allclose(part, coef @ matrix.T, rtol=1e-10, atol=1e-12)
            assert max((matrix != 0).sum(0).max(), (matrix != 0).sum(1).max()) <= step.terms
            spread = spread + radii[place] @ abs(matrix)
        np.testing.assert_allclose(step.spread(*radii), spread, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ("deep_convs", "groups_and_dilation", "decoder", "residual"))
def test_many_at_once_in_either_order(name):
    """More than lie side by side, by input or by entry."""
    case = engine_case(name, 3, make=NETWORKS[name])
    for engine in (case.engine, case.engine.single):
        for step in (step for step in engine.steps if isinstance(step, Affine)):
            values = [case.rng.normal(size=(700, engine.size(n))).astype(engine.dtype) for n in step.inputs]
            coef = case.rng.normal(size=(700, step.size)).astype(engine.dtype)
            found, back = step.forward(*values), step.back(coef)
            turned, around = step.forward(*map(np.asfortranarray, values)), step.back(np.asfortranarray(coef))
            alone = np.concatenate([step.forward(*(value[[row]] for value in values)) for row in (0, 350, 699)])
            room = 1e-4 if engine is case.engine.single else 1e-12
            for one, other in ((found, turned), (found[[0, 350, 699]], alone), *zip(back, around, strict=True)):
                assert one.dtype == other.dtype == engine.dtype
                np.testing.assert_allclose(one, other, rtol=room, atol=room)
