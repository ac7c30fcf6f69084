"""Back-substitution in numpy is the plain reference's."""

import numpy as np
import pytest

from engine_cases import engine_case, preactivations
from glscert.verifier.engine.substitution import relax, spec_bound, substituted
from random_graphs import GRAPHS
from reference import back_substitute, deeppoly, dense


@pytest.mark.parametrize("name", GRAPHS)
def test_deeppoly_is_the_references(name):
    case = engine_case(name, 101)
    pre = preactivations(case.engine, case.anchor)
    lower = spec_bound(case.engine, case.spec, relax(case.engine, pre), case.anchor)
    network = dense(case.engine.graph, case.engine.params)
    for b in range(len(lower)):
        own = (case.box.lower[b], case.box.upper[b], case.spec.rows[b], case.spec.offset[b])
        bound, boxes = deeppoly(network, *own)
        np.testing.assert_allclose(lower[b], bound, rtol=0, atol=1e-9)
        for each, (least, most) in boxes.items():
            np.testing.assert_allclose(pre[each].lower[b], least, rtol=0, atol=1e-9)
            np.testing.assert_allclose(pre[each].upper[b], most, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", GRAPHS)
def test_what_met_the_lines_is_the_references(name):
    """With slopes of each row's own."""
    case = engine_case(name, 102, batch=1)
    pre = preactivations(case.engine, case.anchor)
    slopes = {each: case.rng.random((1, 3, box.lower.shape[1])) for each, box in pre.items()}
    lines = relax(case.engine, pre, slopes)
    found = substituted(case.engine, case.engine.output, case.spec.rows, lines, case.anchor)
    network, boxes = dense(case.engine.graph, case.engine.params), {n: (b.lower[0], b.upper[0]) for n, b in pre.items()}
    for m, row in enumerate(case.spec.rows[0]):
        met, own = {}, {each: slope[0, m] for each, slope in slopes.items()}
        bound = back_substitute(
            network, (case.box.lower[0], case.box.upper[0]), boxes, case.engine.graph.output, row[None],
            np.zeros(1), slopes=own, coefficients=met,
        )  # fmt: skip
        np.testing.assert_allclose(found.least(case.anchor)[0, m], bound[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.coef[0, m], met[case.engine.graph.input][0], rtol=0, atol=1e-10)
        for each in pre:
            outputs = [node.output for node in case.engine.graph.nodes if node.op == "Relu" and node.inputs[0] == each]
            expected, some = sum(met[output][0] for output in outputs), pre[each].upper[0] > 0
            # of neurons that are 0 throughout it may differ: of two slopes of a line over a point, say
            np.testing.assert_allclose(found.met[each][0, m][some], expected[some], rtol=0, atol=1e-10)
            np.testing.assert_array_equal(found.met_low[each] + found.met_up[each], found.met[each])
