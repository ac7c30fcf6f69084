"""How an operator's operands and attributes are drawn for a value x of a draft; None where the value does not suit it.

`DRAWS` is the table; those in `BENDING` make nonlinearities, those in `CURVED` others than of linear pieces.
"""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from draft import Draft, Drawn
from window_draws import averaging, convolution, deconvolution, pooling


def unary(draft: Draft, x: str) -> Drawn:
    return [x], {}


def elementwise(draft: Draft, x: str) -> Drawn:
    """With a constant that broadcasts, or with another value of the same shape."""
    others = [name for name, dims in draft.dims.items() if dims == draft.dims[x]]
    if draft.chance(0.4):
        return [x, draft.one_of(others)], {}
    dims = draft.dims[x]
    shape = tuple(n if draft.chance() else 1 for n in dims[1:])[draft.whole(0, len(dims) - 1) :]
    c = draft.const(draft.rng.uniform(0.5, 1.5, shape) * draft.rng.choice([-1.0, 1.0], shape))
    return ([x, c] if draft.chance(0.7) else [c, x]), {}


def quotient(draft: Draft, x: str) -> Drawn:
    shape = draft.dims[x][-1:] if draft.chance() else ()
    return [x, draft.const(draft.rng.uniform(0.5, 1.5, shape) * draft.rng.choice([-1.0, 1.0], shape))], {}


def matrix(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    if len(dims) > 2 and draft.chance(0.3):
        return [draft.normal(draft.whole(1, 4), dims[-2], scale=dims[-2] ** -0.5), x], {}
    return [x, draft.normal(dims[-1], draft.whole(1, 5), scale=1.5 * dims[-1] ** -0.5)], {}


def einsum(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    rows, outs = "abcdefgh"[: len(dims) - 1], draft.whole(1, 5)
    weight = draft.normal(dims[-1], outs, scale=1.5 * dims[-1] ** -0.5)
    return [x, weight], {"equation": f"{rows}i,io->{rows}o"}


def affine(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) != 2:
        return None
    ins, outs, flipped = draft.dims[x][1], draft.whole(1, 5), draft.chance()
    weight = draft.normal(*((outs, ins) if flipped else (ins, outs)), scale=1.5 * ins**-0.5)
    bias = [draft.normal(*draft.one_of([(outs,), (1, outs), (1,)]), scale=0.3)] if draft.chance(0.8) else []
    scales = {"alpha": draft.one_of([0.3, 1.7, -0.6]), "beta": draft.one_of([0.1, 2.3])} if draft.chance(0.3) else {}
    return [x, weight, *bias], {"transB": int(flipped), **scales}


def image(draft: Draft, x: str) -> Drawn:
    return None if len(draft.dims[x]) < 3 else ([x], {})


def normalisation(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    if len(dims) < 2:
        return None
    count = dims[1]
    scale, shift, mean = (draft.normal(count, scale=each) for each in (1.0, 0.5, 0.5))
    return [x, scale, shift, mean, draft.const(draft.rng.uniform(0.2, 2, count))], {}


def reduction(draft: Draft, x: str, since: int) -> Drawn:
    axes = [axis for axis in range(1, len(draft.dims[x])) if draft.chance(0.4)] or [len(draft.dims[x]) - 1]
    if len(draft.dims[x]) < 2:
        return None
    axes = [axis - (len(draft.dims[x]) if draft.chance(0.3) else 0) for axis in axes]
    attrs = {"keepdims": 1 if draft.chance() or len(axes) >= len(draft.dims[x]) - 1 else 0}
    return ([x, draft.ints(axes)], attrs) if draft.opset >= since else ([x], {**attrs, "axes": axes})


def limits(draft: Draft, x: str) -> Drawn:
    low, high = sorted(draft.rng.normal(size=2).tolist())
    if draft.opset < 11:
        return [x], {"min": low, "max": high}
    kept = draft.one_of([(True, True), (True, False), (False, True)])
    ends = [draft.const(end) if own else "" for own, end in zip(kept, (low, high), strict=True)]
    return [x, *(ends if ends[1] else ends[:1])], {}


def extremes(draft: Draft, x: str) -> Drawn:
    found = elementwise(draft, x)
    return found and ([*found[0], draft.normal(1)] if draft.chance(0.3) else found[0], {})


def slopes(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    return [
        x,
        draft.const(draft.rng.uniform(-0.5, 1.5, (dims[1], *(1,) * (len(dims) - 2)) if draft.chance() else 1)),
    ], {}


def power(draft: Draft, x: str) -> Drawn:
    return [x, draft.const(draft.one_of([1, 2, 2]))], {}


def padding(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    mode = draft.one_of(["constant", "constant", "reflect", "edge"])
    ends = [[0 if n == 1 and mode == "reflect" else draft.whole(0, 1) for n in dims[1:]] for _ in (0, 1)]
    pads = [0, *ends[0], 0, *ends[1]]
    if draft.opset < 11:
        return [x], {"pads": pads, "mode": mode, **({"value": -0.7} if draft.chance() else {})}
    return [x, draft.ints(pads), *([draft.const(0.4)] if draft.chance() else [])], {"mode": mode}


def slicing(draft: Draft, x: str) -> Drawn:
    axis = draft.whole(1, len(draft.dims[x]) - 1) if len(draft.dims[x]) > 1 else 0
    n = draft.dims[x][axis]
    if not axis:
        return None
    start = draft.whole(0, n - 1)
    end = draft.one_of([draft.whole(start + 1, n), 2**31 - 1, n + 3])
    if draft.opset < 10:
        return [x], {"starts": [start], "ends": [end], "axes": [axis]}
    if draft.chance(0.3):
        return [x, *map(draft.ints, ([-1], [-(2**31)], [axis], [-draft.whole(1, 2)]))], {}
    return [x, *map(draft.ints, ([start], [end], [axis], [draft.whole(1, 2)]))], {}


def gathering(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) < 2:
        return None
    axis = draft.whole(1, len(draft.dims[x]) - 1)
    n = draft.dims[x][axis]
    return [x, draft.ints(draft.whole(-n, n - 1) for _ in range(draft.whole(1, n + 1)))], {"axis": axis}


def joining(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    axis = draft.whole(1, len(dims) - 1) if len(dims) > 1 else 0
    if not axis:
        return None
    fits = [name for name, own in draft.dims.items() if len(own) == len(dims) and _but(own, axis) == _but(dims, axis)]
    other = draft.one_of(fits)
    if draft.chance(0.3):
        other = draft.normal(*dims[:axis], draft.whole(1, 2), *dims[axis + 1 :])
    return ([x, other] if draft.chance() else [other, x]), {"axis": draft.one_of([axis, axis - len(dims)])}


def _but(dims: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return dims[:axis] + dims[axis + 1 :]


def repeating(draft: Draft, x: str) -> Drawn:
    dims = draft.dims[x]
    target = [draft.whole(2, 3) if n == 1 and axis else draft.one_of([n, 1]) for axis, n in enumerate(dims)]
    return [x, draft.ints(target)], {}


def order(draft: Draft, x: str) -> Drawn:
    return [x], {"perm": [0, *(1 + draft.rng.permutation(len(draft.dims[x]) - 1)).tolist()]}


def other_shape(draft: Draft, x: str) -> Drawn:
    count = int(np.prod(draft.dims[x]))
    first = draft.one_of([n for n in range(1, count + 1) if count % n == 0])
    return [x, draft.ints(draft.one_of([[0, -1], [1, first, -1], [1, first, count // first, 1], [1, count]]))], {}


def flat(draft: Draft, x: str) -> Drawn:
    return [x], {"axis": 1}


def fewer_axes(draft: Draft, x: str) -> Drawn:
    axes = [axis for axis, n in enumerate(draft.dims[x]) if axis and n == 1]
    if not axes or len(draft.dims[x]) < 3:
        return None
    axes = [draft.one_of(axes)]
    return ([x, draft.ints(axes)], {}) if draft.opset >= 13 else ([x], {"axes": axes})


def more_axes(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) > 3:
        return None
    axes = [draft.whole(1, len(draft.dims[x]))]
    return ([x, draft.ints(axes)], {}) if draft.opset >= 13 else ([x], {"axes": axes})


def scaling(draft: Draft, x: str) -> Drawn:
    if draft.opset == 9 or len(draft.dims[x]) != 4:
        return None
    scales = [1, 1, draft.one_of([2, 1.5, 0.5, 0.7]), draft.one_of([1, 2, 0.6])]
    modes = {
        "nearest_mode": draft.one_of(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
        "coordinate_transformation_mode": draft.one_of(["asymmetric", "half_pixel", "align_corners"]),
    }
    if draft.chance(0.3):
        sizes = [*draft.dims[x][:2], *(draft.whole(1, n + 2) for n in draft.dims[x][2:])]
        return [x, "", "", draft.ints(sizes)], modes
    return [x, "", draft.const(scales)], modes


def upsampling(draft: Draft, x: str) -> Drawn:
    if draft.opset != 9 or len(draft.dims[x]) != 4:
        return None
    return [x, draft.const([1, 1, draft.whole(1, 2), draft.whole(1, 3)])], {}


def blocks(draft: Draft, x: str, axes: tuple[int, ...], wanted: int) -> Drawn:
    """Of 1 or 2 entries on a side; `wanted` is what the axes must be multiples of for 2."""
    dims = draft.dims[x]
    if len(dims) != 4:
        return None
    return [x], {"blocksize": 1 if any(dims[axis] % wanted for axis in axes) else 2}


def tiling(draft: Draft, x: str) -> Drawn:
    return [x, draft.ints([1, *(draft.whole(1, 2) for _ in draft.dims[x][1:])])], {}


def log_sigmoid(draft: Draft, x: str) -> Drawn:
    found = draft.add("Sigmoid", [x])
    return found and (found, {})


def hard(draft: Draft, x: str) -> Drawn:
    return [x], draft.one_of([{}, {"alpha": 0.7, "beta": 0.1}])


def gelu(draft: Draft, x: str) -> Drawn:
    return [x], draft.one_of([{}, {"approximate": "tanh"}])


def bending(draft: Draft, x: str) -> Drawn:
    return [x], draft.one_of([{}, {"alpha": 0.7}, {"alpha": 1.4}])


def choosing(draft: Draft, x: str) -> Drawn:
    """By a constant, between the value and another one or a constant; or by the value, between lines that meet."""
    dims = draft.dims[x]
    if draft.chance() and draft.opset >= 9:
        return _meeting(draft, x)
    condition = draft.const(draft.rng.random(dims[-1:]) < 0.5, np.bool_)
    others = [name for name, own in draft.dims.items() if own == dims]
    other = draft.one_of(others) if draft.chance() else draft.normal(1)
    return [condition, *([x, other] if draft.chance() else [other, x])], {}


def _meeting(draft: Draft, x: str) -> Drawn:
    """x or slope · x on either side of 0, or max(x, c), all of x less a number."""
    (moved,) = draft.add("Sub", [x, draft.normal(1)]) or [x]
    level = draft.chance(0.3)
    limit = draft.const(draft.rng.normal() if level else 0)
    other = limit if level else (draft.add("Mul", [moved, draft.const(draft.one_of([0.1, -0.5, 0]))]) or [moved])[0]
    condition = draft.add(draft.one_of(["Greater", "Less"]), [moved, limit])
    return condition and ([*condition, *([moved, other] if draft.chance() else [other, moved])], {})


def leaking(draft: Draft, x: str) -> Drawn:
    return [x], draft.one_of([{}, {"alpha": 0.3}, {"alpha": -0.4}])


BENDING = {
    "Abs": unary, "Celu": bending, "Clip": limits, "Elu": bending, "Erf": unary, "Gelu": gelu, "GlobalMaxPool": image,
    "HardSigmoid": hard, "HardSwish": unary, "LeakyRelu": leaking, "Log": log_sigmoid, "Max": extremes,
    "MaxPool": pooling, "Min": extremes,
    "Mish": unary, "Mul": elementwise, "PRelu": slopes, "Pow": power,
    "ReduceMax": lambda draft, x: reduction(draft, x, 18), "ReduceMin": lambda draft, x: reduction(draft, x, 18),
    "Relu": unary, "Selu": unary, "Sigmoid": unary,
    "Softplus": unary, "Softsign": unary, "Swish": bending, "Tanh": unary,
}  # fmt: skip
STRAIGHT = {
    "Add": elementwise, "AveragePool": averaging, "BatchNormalization": normalisation,
    "Cast": lambda draft, x: ([x], {"to": TensorProto.FLOAT}), "Concat": joining, "Conv": convolution,
    "ConvTranspose": deconvolution, "DepthToSpace": lambda draft, x: blocks(draft, x, (1,), 4), "Div": quotient,
    "Dropout": unary, "Einsum": einsum, "Expand": repeating, "Flatten": flat,
    "Gather": gathering, "Gemm": affine, "GlobalAveragePool": image, "Identity": unary, "MatMul": matrix, "Neg": unary,
    "Pad": padding, "ReduceMean": lambda draft, x: reduction(draft, x, 18),
    "ReduceSum": lambda draft, x: reduction(draft, x, 13), "Reshape": other_shape, "Resize": scaling, "Slice": slicing,
    "SpaceToDepth": lambda draft, x: blocks(draft, x, (2, 3), 2), "Tile": tiling,
    "Squeeze": fewer_axes, "Sub": elementwise, "Transpose": order, "Unsqueeze": more_axes, "Upsample": upsampling,
    "Where": choosing,
}  # fmt: skip
DRAWS: dict[str, Callable[[Draft, str], Drawn]] = {**BENDING, **STRAIGHT, "Split": flat}
CURVED = (  # not of linear pieces, once translated
    "Celu", "Elu", "Erf", "Gelu", "HardSwish", "Log", "Mish", "Mul", "Pow", "Selu", "Sigmoid", "Softplus", "Softsign",
    "Swish", "Tanh",
)  # fmt: skip
FIRST = {"Celu": 12, "HardSwish": 14, "Mish": 18, "Gelu": 20, "Swish": 24, "Einsum": 12}  # opsets
