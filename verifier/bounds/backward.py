"""Back-substitution: lower bounds of linear forms over any value of the graph, carried back to where boxes are known.

    A · v  >=  A_z · z + constant   through v = f(z), by the lower line of f where A >= 0, the upper where A < 0
    min over a box of A · x  =  A · centre - |A| · radius

(Singh et al. 2019, DeepPoly; Zhang et al. 2018, CROWN, theorem 3.2.) Upper bounds are lower bounds of the negated rows.
What lies below the last nonlinearity is affine in the input, so its value at the centre of the box is a plain forward
pass: there only the radius still needs the coefficients.
"""

from collections import Counter
from collections.abc import Callable, Container, Mapping

import torch
from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Lines, Params, compiled
from ..ops.chain import Chain, Step, StepLines, substitution
from ..ops.forms import Form, Window, dot, look, plus, signed_parts, spread
from ..ops.linear import window_step
from ..ops.relaxed_spread import relaxed_spread


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
            bounds = _through_chain(graph, params, form, name, lines, centres, radii) if compiled.enabled() else None
            if bounds is not None and until_stable and form.window is None:
                total = _until_stable(total, form, lines[name], until_stable[name], bounds)
                continue
            if bounds is not None:
                total = total + bounds(None)
                continue
            total = total + constants(form, lines[name], centres.get(name))
            last = _last_step(graph, params, form, name, radii)
            if last is not None:
                total = total - _onto_radius(form, lines[name], *last)
                continue
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


def _last_step(
    graph: Graph, params: Params, form: Form, name: str, radii: Mapping[str, Tensor]
) -> tuple[Tensor, Window, Tensor] | None:
    """The convolution between z (`name`) and a radius, as `window_step` has it, where nothing else reads either."""
    conv = graph.producers().get(name)
    if conv is None or conv.op != "Conv" or conv.inputs[0] not in radii or form.window is None:
        return None
    below = conv.inputs[0]
    if sum(node.inputs.count(value) for node in graph.nodes for value in (name, below)) > 2:
        return None
    step = window_step(conv, params, form, graph.shapes[below], graph.shapes[name])
    return None if step is None else (*step, radii[below])


def _onto_radius(form: Form, lines: Lines, matrix: Tensor, window: Window, radius: Tensor) -> Tensor:
    """`slopes`, the convolution and `spread` in one pass."""
    low, up = look(lines.lower_slope, form.window), look(lines.upper_slope, form.window)
    return relaxed_spread(form.coef, low, up, matrix, look(radius.unsqueeze(1), window))


def _through_chain(
    graph: Graph,
    params: Params,
    form: Form,
    name: str,
    lines: Mapping[str, Lines],
    centres: Mapping[str, Tensor],
    radii: Mapping[str, Tensor],
) -> Callable[[Tensor | None], Tensor] | None:
    """All that is left from the ReLU of `name` on, where only ReLUs and convolutions are and they are compiled.

    As a function of the rows that are wanted, see `substitution`.
    """
    if form.coef.device.type != "cpu":
        return None
    found = _chain(graph, params, name, radii)
    if found is None:
        return None
    names, convolutions, steps = found
    end = convolutions[-1].inputs[0]
    rows = max(lines[value].lower_slope.shape[1] for value in names)  # 1, or each has slopes of its own
    if any(lines[value].upper_slope.shape[1] != 1 for value in names) or (rows > 1 and form.window is not None):
        return None
    weights, step_lines = [], []
    for value, conv in zip(names, convolutions, strict=True):
        weight, *bias = (params[parameter] for parameter in conv.params)
        low, start, up, upper = lines[value]
        # where the rest is affine its value at the centre stands for all of it; else the bias is all there is
        point = centres[value].unsqueeze(1) if value in centres else bias[0][:, None, None] if bias else None
        if point is not None:
            upper = torch.addcmul(upper, up, point)
            start = low * point if start is None else torch.addcmul(start, low, point)
        elif start is None:
            start = torch.zeros_like(low)
        weights.append(weight)
        if rows == 1:
            low, start = low.squeeze(1), start.squeeze(1)
        else:
            low, start = (part.expand(-1, rows, *part.shape[2:]) for part in (low, start))
        step_lines.append(StepLines(low, up.squeeze(1), start, upper.squeeze(1)))
    chain = Chain(tuple(steps), graph.shapes[end], form.window, rows > 1)
    return substitution(chain, form, step_lines, weights, radii[end])


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


def _chain(
    graph: Graph, params: Params, name: str, radii: Container[str]
) -> tuple[list[str], list[Node], list[Step]] | None:
    """Inputs of the ReLUs from `name` down, the convolutions that make them, and what both are like.

    None where anything else is between them and the radius, or where a value in between is read twice.
    """
    producers, names, convolutions, steps = graph.producers(), [name], [], []
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    while True:
        conv = producers.get(names[-1])
        if conv is None or conv.op != "Conv" or readers[names[-1]] > 1:
            return None
        below, attrs = conv.inputs[0], conv.attrs
        if attrs["group"] > 1 or tuple(attrs["dilations"]) != (1, 1):
            return None
        shape = tuple(params[conv.params[0]].shape)
        steps.append(Step(graph.shapes[names[-1]], shape, tuple(attrs["strides"]), tuple(attrs["pads"][:2])))
        convolutions.append(conv)
        if below in radii:
            break
        above = producers.get(below)
        if above is None or isinstance(OPERATORS[above.op], Affine) or readers[below] > 1:
            return None
        names.append(above.inputs[0])
    return names, convolutions, steps


def all_compiled(graph: Graph, params: Params, name: str, radii: Container[str]) -> bool:
    """Whether forms over the value `name` meet no nonlinearity outside of a compiled chain."""
    producers = graph.producers()
    while (node := producers.get(name)) is not None and node.output not in radii:
        if len(node.inputs) != 1:
            return False
        name = node.inputs[0]
        if not isinstance(OPERATORS[node.op], Affine):
            return compiled.enabled() and _chain(graph, params, name, radii) is not None
    return True
