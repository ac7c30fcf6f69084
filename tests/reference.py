"""The plain reference the bound engine is held against: dense, slow, float64, one input box, numpy alone.

Every affine operator becomes an explicit matrix, found by applying the operator to unit vectors:

    y = sum_i J_i x_i + b,     b = f(0, ..., 0),     J_i e_k = f(.., e_k, ..) - b

DeepPoly (Singh et al. 2019) / CROWN (Zhang et al. 2018): back-substitution to the input at every ReLU, lower slope
1 if u > -l else 0, upper line u / (u - l) (v - l), stable neurons exact. CROWN-IBP (Zhang et al. 2020): boxes by IBP,
one back-substitution of the specification. Nothing is intersected with anything. Specification: rows y + offset > 0.

It knows the graph's fields and nothing of the code under test.
"""

from typing import NamedTuple

import numpy as np
from scipy import special


class Dense(NamedTuple):
    """A network as matrices: what every bound below is computed from."""

    graph: object
    forms: dict[str, "Affine"]


class Affine(NamedTuple):
    matrices: list[np.ndarray]  # per input: [size of output, size of that input]
    bias: np.ndarray  # [size of output]


def apply(node, params, arrays):
    """One operator on float64 `arrays` of shape [B, *v]."""
    constants = [np.asarray(params[name], dtype=np.float64) for name in node.params]
    x = arrays[0]
    if node.op == "Conv":
        return convolve(x, *constants, **node.attrs)
    if node.op == "Gemm":
        return x @ constants[0].T + (constants[1] if len(constants) > 1 else 0.0)
    if node.op in UNARY:
        return UNARY[node.op](x)
    if node.op == "MatMul":
        return np.einsum("...i,oi->...o", x, constants[0])
    if node.op == "ConvTranspose":
        return deconvolve(x, *constants, **node.attrs)
    if node.op == "Transpose":
        return np.transpose(x, (0, *(axis + 1 for axis in node.attrs["perm"])))
    if node.op == "Gather":
        return np.take(x, node.attrs["indices"], axis=node.attrs["axis"] + 1)
    if node.op == "Pad":
        before, after = np.split(np.array(node.attrs["pads"]), 2)
        return np.pad(x, ((0, 0), *zip(before, after, strict=True)))
    if node.op == "ReduceSum":
        return x.sum(axis=tuple(axis + 1 for axis in node.attrs["axes"]))
    if node.op == "Flatten":
        return x.reshape(len(x), -1)
    if node.op == "Reshape":
        return x.reshape(len(x), *node.attrs["shape"])
    z = constants[0] if constants else arrays[1]
    return {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[node.op](x, z)


def convolve(x, weight, bias=None, *, strides, pads, dilations, group):
    """The definition of a (cross-correlating) convolution, one kernel entry and one group at a time."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    outs, ins, kernel_h, kernel_w = weight.shape
    height = (x.shape[2] - dilations[0] * (kernel_h - 1) - 1) // strides[0] + 1
    width = (x.shape[3] - dilations[1] * (kernel_w - 1) - 1) // strides[1] + 1
    y = np.zeros((len(x), outs, height, width))
    for o in range(outs):
        first = o // (outs // group) * ins
        for i in range(kernel_h):
            for j in range(kernel_w):
                rows = dilations[0] * i + strides[0] * np.arange(height)
                columns = dilations[1] * j + strides[1] * np.arange(width)
                seen = x[:, first : first + ins][:, :, rows][:, :, :, columns]
                y[:, o] += np.einsum("bchw,c->bhw", seen, weight[o, :, i, j])
        if bias is not None:
            y[:, o] += bias[o]
    return y


UNARY = {
    "Relu": lambda x: np.maximum(x, 0.0),
    "Sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "Softplus": lambda x: np.logaddexp(x, 0.0),
    "Square": lambda x: x * x,
    "Elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "Erf": lambda x: special.erf(x),
    "Gelu": lambda x: x * (1 + special.erf(x / np.sqrt(2))) / 2,
    "GeluTanh": lambda x: x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))) / 2,
    "Mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "Silu": lambda x: x / (1 + np.exp(-x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
}


def deconvolve(x, weight, bias=None, *, strides, pads, dilations, group, extra):
    """Every input entry throws a weighted kernel onto the output; pads are cut from it."""
    top, left, bottom, right = pads
    batch, ins, height, width = x.shape
    per_group, outs = ins // group, weight.shape[1]
    kernel = weight.shape[2:]
    size = [(n - 1) * strides[d] + dilations[d] * (kernel[d] - 1) + 1 + extra[d] for d, n in enumerate((height, width))]
    y = np.zeros((batch, outs * group, *size))
    for c in range(ins):
        channels = slice(c // per_group * outs, (c // per_group + 1) * outs)
        for i in range(height):
            for j in range(width):
                rows = i * strides[0] + dilations[0] * np.arange(kernel[0])
                columns = j * strides[1] + dilations[1] * np.arange(kernel[1])
                y[:, channels, rows[:, None], columns] += x[:, c, i, j][:, None, None, None] * weight[c]
    y = y[:, :, top : size[0] - bottom, left : size[1] - right]
    return y if bias is None else y + bias[:, None, None]


def forward(graph, params, x):
    """All values of the network at x [B, *v], by name."""
    values = {graph.input: np.asarray(x, dtype=np.float64)}
    for node in graph.nodes:
        values[node.output] = apply(node, params, [values[name] for name in node.inputs])
    return values


def dense(graph, params):
    """Every affine node as matrices, by the name of its output."""
    forms = {}
    for node in graph.nodes:
        if node.op in UNARY:
            continue
        zeros = [np.zeros((1, *graph.shapes[name])) for name in node.inputs]
        bias = apply(node, params, zeros).reshape(-1)
        matrices = []
        for place, name in enumerate(node.inputs):
            size = zeros[place].size
            units = np.eye(size).reshape(size, *graph.shapes[name])
            inputs = [units if i == place else np.repeat(zero, size, axis=0) for i, zero in enumerate(zeros)]
            matrices.append((apply(node, params, inputs).reshape(size, -1) - bias).T)
        forms[node.output] = Affine(matrices, bias)
    return Dense(graph, forms)


def flat_box(lower, upper):
    return np.ravel(lower).astype(np.float64), np.ravel(upper).astype(np.float64)


def ibp_boxes(network, lower, upper):
    """Value name -> flat (lower, upper)."""
    graph, forms = network
    boxes = {graph.input: flat_box(lower, upper)}
    for node in graph.nodes:
        if node.op == "Relu":
            boxes[node.output] = tuple(np.maximum(end, 0.0) for end in boxes[node.inputs[0]])
            continue
        low = high = forms[node.output].bias
        for matrix, name in zip(forms[node.output].matrices, node.inputs, strict=True):
            (l, u), plus, minus = boxes[name], np.maximum(matrix, 0.0), np.minimum(matrix, 0.0)
            low, high = low + plus @ l + minus @ u, high + plus @ u + minus @ l
        boxes[node.output] = (low, high)
    return boxes


def relu_lines(l, u, slope=None):
    """Slopes and intercepts of the lines below and above max(v, 0) on [l, u]: (lower slope, upper slope, intercept).
    `slope` [size] for l < 0 < u instead of the least area's."""
    lower, upper, intercept = np.zeros_like(l), np.zeros_like(l), np.zeros_like(l)
    for k in range(len(l)):
        if l[k] >= 0:
            lower[k] = upper[k] = 1.0
        elif u[k] > 0:
            lower[k] = (1.0 if u[k] > -l[k] else 0.0) if slope is None else slope[k]
            upper[k] = u[k] / (u[k] - l[k])
            intercept[k] = -upper[k] * l[k]
    return lower, upper, intercept


def back_substitute(network, box, pre, value, rows, offset, stop=(), slopes=None, coefficients=None):
    """Lower bounds of rows @ value + offset: [M]. `pre` gives the box of every ReLU's input above `value`;
    coefficients are concretised at the input, or at the values in `stop`, each with its (lower, upper).
    `slopes` of the lower lines by ReLU input. `coefficients` is filled with those of ReLU outputs and of the input."""
    graph, forms = network
    ends = {graph.input: box, **dict(stop)}
    waiting, bound = {value: np.asarray(rows, dtype=np.float64)}, np.asarray(offset, dtype=np.float64)
    for node in reversed(graph.nodes):
        if node.output not in waiting or node.output in ends:
            continue
        a = waiting.pop(node.output)
        if node.op == "Relu":
            lower, upper, intercept = relu_lines(*pre[node.inputs[0]], slopes and slopes[node.inputs[0]])
            if coefficients is not None:
                coefficients[node.output] = a
            plus, minus = np.maximum(a, 0.0), np.minimum(a, 0.0)
            bound = bound + minus @ intercept
            terms = [plus * lower + minus * upper]
        else:
            bound = bound + a @ forms[node.output].bias
            terms = [a @ matrix for matrix in forms[node.output].matrices]
        for name, term in zip(node.inputs, terms, strict=True):
            waiting[name] = waiting.get(name, 0.0) + term
    for name, a in waiting.items():
        if coefficients is not None:
            coefficients[name] = a
        bound = bound + np.maximum(a, 0.0) @ ends[name][0] + np.minimum(a, 0.0) @ ends[name][1]
    return bound


def relu_inputs(graph):
    return list(dict.fromkeys(node.inputs[0] for node in graph.nodes if node.op == "Relu"))


def ibp(network, lower, upper, rows, offset):
    """-> (bounds [M], {ReLU input: flat (lower, upper)}). The specification is merged with the affine layers after
    the last ReLUs (elision, Gowal et al. 2018), so no width is lost between the logits and their differences."""
    graph, boxes = network.graph, ibp_boxes(network, lower, upper)
    stop = {node.output: boxes[node.output] for node in graph.nodes if node.op == "Relu"}
    bound = back_substitute(network, boxes[graph.input], {}, graph.output, rows, offset, stop)
    return bound, {value: boxes[value] for value in relu_inputs(graph)}


def crown_ibp(network, lower, upper, rows, offset):
    boxes = ibp_boxes(network, lower, upper)
    pre = {value: boxes[value] for value in relu_inputs(network.graph)}
    return back_substitute(network, flat_box(lower, upper), pre, network.graph.output, rows, offset), pre


def deeppoly(network, lower, upper, rows, offset):
    graph, box, pre = network.graph, flat_box(lower, upper), {}
    for value in relu_inputs(graph):
        eye = np.eye(int(np.prod(graph.shapes[value])))
        zero = np.zeros(len(eye))
        below = back_substitute(network, box, pre, value, eye, zero)
        above = -back_substitute(network, box, pre, value, -eye, zero)
        pre[value] = (below, above)
    return back_substitute(network, box, pre, graph.output, rows, offset), pre


def alpha_crown(network, lower, upper, rows, offset):
    """One signed step of 1/2 from slopes of 1/2, row by row, over DeepPoly's boxes: slopes 1 where the bound rises
    with them, else 0. With x the corner that the row's bound is taken at and z the value there of a ReLU's input
    through the lines chosen above it, the bound's slope by the neuron's lower slope is max(coefficient, 0) z."""
    graph, box = network.graph, flat_box(lower, upper)
    pre, bounds = deeppoly(network, lower, upper, rows, offset)[1], []
    for row, constant in zip(np.asarray(rows), np.asarray(offset), strict=True):
        half, chosen = {value: np.full(len(ends[0]), 0.5) for value, ends in pre.items()}, {}
        back_substitute(network, box, pre, graph.output, row[None], constant[None], slopes=half, coefficients=chosen)
        at, slopes = relaxed_forward(network, box, pre, half, chosen), {}
        for value in pre:
            met = [chosen[node.output][0] for node in graph.nodes if node.op == "Relu" and node.inputs[0] == value]
            slopes[value] = (sum(np.maximum(a, 0.0) for a in met) * at[value] > 0.0).astype(float)
        bounds.append(back_substitute(network, box, pre, graph.output, row[None], constant[None], slopes=slopes)[0])
    return np.array(bounds), pre


def relaxed_forward(network, box, pre, slopes, chosen):
    """All values at the corner of the box where a row's bound is taken, each ReLU replaced by the line it took."""
    graph, forms = network
    values = {graph.input: np.where(chosen[graph.input][0] > 0, box[0], box[1])}
    for node in graph.nodes:
        if node.op == "Relu":
            lower, upper, intercept = relu_lines(*pre[node.inputs[0]], slopes[node.inputs[0]])
            z = values[node.inputs[0]]
            values[node.output] = np.where(chosen[node.output][0] > 0, lower * z, upper * z + intercept)
        else:
            matrices = zip(forms[node.output].matrices, node.inputs, strict=True)
            values[node.output] = forms[node.output].bias + sum(matrix @ values[name] for matrix, name in matrices)
    return values


def deeppoly_ibp(network, lower, upper, rows, offset):
    """Each ReLU's box and the specification intersected with IBP's, before it is used for the next."""
    graph, box, pre = network.graph, flat_box(lower, upper), {}
    interval, boxes = ibp(network, lower, upper, rows, offset)
    for value in relu_inputs(graph):
        eye = np.eye(int(np.prod(graph.shapes[value])))
        zero = np.zeros(len(eye))
        below = back_substitute(network, box, pre, value, eye, zero)
        above = -back_substitute(network, box, pre, value, -eye, zero)
        pre[value] = (np.maximum(below, boxes[value][0]), np.minimum(above, boxes[value][1]))
    return np.maximum(back_substitute(network, box, pre, graph.output, rows, offset), interval), pre


def hbox(network, lower, upper, rows, offset):
    """Hybrid zonotope (Mirman et al. 2018), forwards, one generator per input entry: every value is head, errors
    [entries, inputs] and deviation. ReLU: u <= 0 zero; l >= 0 identity; else head = deviation = u / 2, no errors."""
    graph, forms = network
    l, u = flat_box(lower, upper)
    state, pre = {graph.input: ((l + u) / 2, np.diag((u - l) / 2), np.zeros_like(l))}, {}
    for node in graph.nodes:
        if node.op != "Relu":
            state[node.output] = transform(forms[node.output], [state[name] for name in node.inputs])
            continue
        head, errors, deviation = state[node.inputs[0]]
        l, u = pre[node.inputs[0]] = concretise(head, errors, deviation)
        keep, cross = (l >= 0) & (u > 0), (l < 0) & (u > 0)
        head = np.where(keep, head, np.where(cross, u / 2, 0.0))
        deviation = np.where(keep, deviation, np.where(cross, u / 2, 0.0))
        state[node.output] = head, errors * keep[:, None], deviation
    stop = {node.output for node in graph.nodes if node.op == "Relu"} | {graph.input}
    head, errors, deviation = transform(*merged(network, rows, offset, stop, state))
    return concretise(head, errors, deviation)[0], {value: pre[value] for value in relu_inputs(graph)}


def transform(form, states):
    """An affine map of hybrid zonotopes that share their errors."""
    head, errors, deviation = form.bias, 0.0, 0.0
    for matrix, (h, e, d) in zip(form.matrices, states, strict=True):
        head, errors, deviation = head + matrix @ h, errors + matrix @ e, deviation + np.abs(matrix) @ d
    return head, errors, deviation


def concretise(head, errors, deviation):
    width = np.abs(errors).sum(1) + deviation
    return head - width, head + width


def merged(network, rows, offset, stop, state):
    """The specification as one affine map of the values in `stop`, and their states."""
    graph, forms = network
    waiting, bias = {graph.output: np.asarray(rows, dtype=np.float64)}, np.asarray(offset, dtype=np.float64)
    for node in reversed(graph.nodes):
        if node.output not in waiting or node.output in stop:
            continue
        a = waiting.pop(node.output)
        bias = bias + a @ forms[node.output].bias
        for name, matrix in zip(node.inputs, forms[node.output].matrices, strict=True):
            waiting[name] = waiting.get(name, 0.0) + a @ matrix
    return Affine(list(waiting.values()), bias), [state[name] for name in waiting]


REFERENCE = {
    "ibp": ibp,
    "hbox": hbox,
    "crown-ibp": crown_ibp,
    "deeppoly": deeppoly,
    "deeppoly-ibp": deeppoly_ibp,
    "alpha-crown": alpha_crown,
}
