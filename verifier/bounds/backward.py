"""Back-substitution: lower bounds of linear forms over any value of the graph, carried back to where boxes are known.

    A · v  >=  A_z · z + constant   through v = f(z), by the lower line of f where A >= 0, the upper where A < 0
    min over a box of A · x  =  A · centre - |A| · radius

(Singh et al. 2019, DeepPoly; Zhang et al. 2018, CROWN, theorem 3.2.) Upper bounds are lower bounds of the negated rows.
What lies below the last nonlinearity is affine in the input, so its value at the centre of the box is a plain forward
pass: there only the radius still needs the coefficients.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Affine, Lines, Params
from ..ops.forms import Form, dot, look, plus, spread


def lower_bound(
    graph: Graph,
    params: Params,
    start: str,
    form: Form,
    lines: Mapping[str, Lines],
    centres: Mapping[str, Tensor],
    radii: Mapping[str, Tensor],
    multipliers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Lower bounds [B, M] of the rows of `form` over the value `start`.

    lines: by name of each nonlinearity's input. centres [B, *v]: values below which all is affine, at the centre of
    the box. radii [B, *v]: values where the box is known; nothing below them is visited. multipliers [B, 1|M, *v]:
    added to the coefficients of a nonlinearity's input (a signed Lagrangian of its split, Wang et al. 2021).
    """
    forms: dict[str, Form] = {start: form}
    total = dot(form, centres[start].unsqueeze(1)) if start in centres else form.coef.new_zeros(())
    for node in reversed(graph.nodes):
        if node.output not in forms or node.output in radii:
            continue
        form, operator = forms.pop(node.output), OPERATORS[node.op]
        settled = node.output in centres
        if isinstance(operator, Affine):
            shapes = tuple(graph.shapes[name] for name in node.inputs)
            out = graph.shapes[node.output]
            offset = None if settled else operator.offset(node, params, shapes)
            if offset is not None:
                total = total + dot(form, offset.expand(1, *out).unsqueeze(1))
            below = operator.backward(node, params, form, shapes, out)
        else:
            point = centres.get(node.inputs[0])
            form, constant = rectify(form, lines[node.inputs[0]], point)
            total = total + constant
            if multipliers is not None and node.inputs[0] in multipliers:
                extra = Form(look(multipliers[node.inputs[0]], None))
                total = total if point is None else total + dot(extra, point.unsqueeze(1))
                form = plus(form, extra, graph.shapes[node.inputs[0]])
            below, settled = (form,), True
        for name, part in zip(node.inputs, below, strict=True):
            if name in centres and not settled:
                total = total + dot(part, centres[name].unsqueeze(1))
            forms[name] = plus(forms.get(name), part, graph.shapes[name])
    for name, rest in forms.items():
        total = total - spread(rest, radii[name].unsqueeze(1))
    return total


def rectify(form: Form, lines: Lines, point: Tensor | None) -> tuple[Form, Tensor]:
    """The form over z below the form over f(z), and the constant part [B, M]: the lines' values at `point` (None: at 0)."""
    positive, negative = form.coef.clamp(min=0), form.coef.clamp(max=0)
    low, up = look(lines.lower_slope, form.window), look(lines.upper_slope, form.window)
    below = Form((positive * low).addcmul_(negative, up), form.window, clean=True)
    upper = (
        lines.upper_start if point is None else torch.addcmul(lines.upper_start, lines.upper_slope, point.unsqueeze(1))
    )
    constant = dot(Form(negative, form.window), upper)
    lower = lines.lower_start
    if point is not None:
        rise = lines.lower_slope * point.unsqueeze(1)
        lower = rise if lower is None else lower + rise
    return below, constant if lower is None else constant + dot(Form(positive, form.window), lower)
