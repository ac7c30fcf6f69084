"""The attack stays inside its box and reports the margin of the point it returns; so does the corner of a bound."""

import pytest
import torch

from cases import make_case, preactivations
from glscert.verifier.bounds.beta_crown import look, start_dual
from glscert.verifier.bounds.substitution import anchor, relax, spec_bound
from glscert.verifier.ops import Box, evaluate
from glscert.verifier.search.attack import pgd, robustness
from glscert.verifier.search.problem import Problem, batch, rows_at


@pytest.mark.parametrize("targeted", (False, True))
@pytest.mark.parametrize("name", ("gemm_only", "conv_chain", "normalised"))
def test_inside_with_its_margin(name, targeted):
    case = make_case(name, 13, dtype=torch.float32, batch=5)
    labels = torch.arange(5) % case.graph.output_shape[0]
    targets = (labels + 1) % case.graph.output_shape[0] if targeted else None
    points, margin = pgd(
        case.graph, case.params, case.box, robustness(labels, targets), steps=10, restarts=4,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert (points >= case.box.lower).all() and (points <= case.box.upper).all()
    logits = evaluate(case.graph, case.params, points)
    rest = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    assert torch.allclose(logits.gather(1, labels[:, None]).squeeze(1) - rest, margin, atol=1e-5)


@pytest.mark.parametrize("name", ("gemm_only", "conv_chain", "dense_residual", "normalised"))
def test_the_corner_lies_in_the_box_above_the_bound(name):
    case = make_case(name, 14, batch=1)
    box, row, offset = Box(case.box.lower[0], case.box.upper[0]), case.spec.rows[0, :1], case.spec.offset[0, :1]
    known = preactivations(case, anchor(case.graph, case.params, case.box))
    pre = {name: Box(known_box.lower[0], known_box.upper[0]) for name, known_box in known.items()}
    work = batch(case.graph, case.params, [Problem(0, 0, box, row, offset, pre)])
    dual = start_dual(case.graph, work.pre, 1)
    corner = look(case.graph, *work[:3], work.pre, dual, None).corner[:, 0]
    reached = rows_at(case.graph, work, corner)
    assert (corner >= case.box.lower).all() and (corner <= case.box.upper).all()
    bound = spec_bound(case.graph, case.params, work.base, work.spec, relax(case.graph, work.pre, dual.slopes))
    assert reached[0] >= bound[0, 0] - 1e-9
