"""Back-substitution: lower bounds of linear forms over any value of the graph, carried back to where boxes are known.

    A · v  >=  A_z · z + constant   through v = f(z), by the lower line of f where A >= 0, the upper where A < 0
    min over a box of A · x  =  A · centre - |A| · radius

(Singh et al. 2019, DeepPoly; Zhang et al. 2018, CROWN, theorem 3.2.) Upper bounds are lower bounds of the negated rows.
What lies below the last nonlinearity is affine in the input, so its value at the centre of the box is a plain forward
pass: there only the radius still needs the coefficients.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Affine, Box, Lines, Params
from ..ops.forms import Form, dot, look, plus, signed_parts, spread
from .chains import through_chain


def lower_bound(
    graph: Graph,
    params: Params,
    start: str,
    form: Form,
    lines: Mapping[str, Lines],
    centres: Mapping[str, Tensor],
    radii: Mapping[str, Tensor],
    until_stable: Mapping[str, Box] | None = None,
) -> Tensor:
    """Lower bounds [B, M] of the rows of `form` over the value `start`.

    lines: by name of each nonlinearity's input. centres [B, *v]: values below which all is affine, at the centre of
    the box. radii [B, *v]: values where the box is known; nothing below them is visited. until_stable: boxes of the
    nonlinearities' inputs, where `form` is `identity` of a value with one axis and bounds of a neuron that keeps its
    sign need not be the best as long as they show it (`_until_stable`).
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
            name = node.inputs[0]
            bounds = through_chain(graph, params, form, name, lines, centres, radii)
            if bounds is not None and until_stable and form.window is None:
                total = _until_stable(total, form, lines[name], until_stable[name], bounds)
                continue
            if bounds is not None:
                total = total + bounds(None)
                continue
            total = total + constants(form, lines[name], centres.get(name))
            below, settled = (slopes(form, lines[name]),), True
        for name, part in zip(node.inputs, below, strict=True):
            if name in centres and not settled:
                total = total + dot(part, centres[name].unsqueeze(1))
            forms[name] = plus(forms.get(name), part, graph.shapes[name])
    for name, rest in forms.items():
        total = total - spread(rest, radii[name].unsqueeze(1))
    return total


def constants(form: Form, lines: Lines, point: Tensor | None) -> Tensor:
    """What the lines below f(z) add to the form at `point` (None: at 0): [B, M]."""
    positive, negative = signed_parts(form.coef)
    upper = (
        lines.upper_start if point is None else torch.addcmul(lines.upper_start, lines.upper_slope, point.unsqueeze(1))
    )
    constant = dot(Form(negative, form.window), upper)
    lower = lines.lower_start
    if point is not None:
        rise = lines.lower_slope * point.unsqueeze(1)
        lower = rise if lower is None else lower + rise
    return constant if lower is None else constant + dot(Form(positive, form.window), lower)


def slopes(form: Form, lines: Lines) -> Form:
    """The form over z that lies below the form over f(z), constants apart."""
    low, up = look(lines.lower_slope, form.window), look(lines.upper_slope, form.window)
    positive, negative = signed_parts(form.coef)
    coef = torch.addcmul(positive * low, negative, up)
    return Form(coef, form.window, clean=True)


def _until_stable(
    total: Tensor, form: Form, lines: Lines, box: Box, bounds: Callable[[Tensor | None], Tensor]
) -> Tensor:
    """`total` + `bounds` for the rows v and -v of neurons, each only until one of them shows that v keeps its sign.

    First all are ended at the box of z right below, which is never better than to go on with the lines that gave that
    box: a neuron stable there is stable anyway. Then the likelier of its two bounds is taken, and then the other.
    """
    with torch.no_grad():
        ends = torch.stack([box.lower.unsqueeze(1), box.upper.unsqueeze(1)])
        least, most = (lines.lower_slope * ends).amin(0), (lines.upper_slope * ends).amax(0) + lines.upper_start
        least = least if lines.lower_start is None else least + lines.lower_start
        positive, negative = signed_parts(form.coef)
        found = total + dot(Form(positive), least) + dot(Form(negative), most)
        lower_first = torch.gt(*found.chunk(2, 1))
    for first in (lower_first, ~lower_first):
        with torch.no_grad():
            unknown = torch.stack(found.chunk(2, 1)).amax(0) < 0
            wanted = torch.cat([unknown & first, unknown & ~first], 1)
        found = torch.where(wanted, total + bounds(wanted), found)
    return found
