"""Choices by comparison, as exporters write activations: Where(x > c, x, a x), x · (x > 0), Where(|x| > c, …, 0).

What single numbers, comparisons and choices make of one value x is a function of linear pieces. One that does not jump
is written exactly, from the line s x + o of one piece outwards,

    f(x) = s x + o + Σ k relu(x - t) + Σ l relu(u - x),

with the changes k and l of its slope at t to the right and at u to the left. One that jumps may still be part of one
that does not, so it is refused only where something else reads it.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from operator import eq, ge, gt, le, lt

import numpy as np
from onnx import TensorProto

from ..errors import UnsupportedError
from .activation import ORDINARY, scaled, shifted
from .builder import Builder, broadcast, refusal
from .pieces import IDENTITY, Line, NoPiecesError, Pieces, Traced, combined, level, value_of
from .proto import FLOATS, OnnxNode
from .rounding import ROUNDED

COMPARISONS = {"Equal": eq, "Greater": gt, "GreaterOrEqual": ge, "Less": lt, "LessOrEqual": le}
TRUTHS = {"And": all, "Or": any, "Not": lambda truths: not any(truths)}
CHOICES = (*COMPARISONS, *TRUTHS, "Sign")
Rule = Callable[[OnnxNode, Sequence[Pieces]], Pieces]

_MOST_CUTS = 2  # of a value that is not followed further back than it must be
_REMEDY = "Write it with Max, Min, Clip or LeakyRelu, or train with another activation"
_SOFTPLUS = "Export it by torch.onnx.export(…, dynamo=False), which writes Softplus alone"


def choose(builder: Builder, node: OnnxNode) -> None:
    """Reads a node of `CHOICES`, or one with an operand of these.

    Raises `UnsupportedError` where it is not of linear pieces of one value.
    """
    _trace(builder)
    found = _of(builder, node)
    if found is None or found.base is None:
        raise _why(builder, node)
    name = node.outputs[0]
    builder.pieces[name] = found
    jump = found.pieces.jump()
    if found.truth:
        builder.pending[name] = refusal(
            node, "compares a computed value; supported: as the condition of a Where or as a factor", _REMEDY
        )
    elif jump is not None:
        place, left, right = map(float, jump)
        builder.pending[name] = refusal(
            node,
            f"jumps, from {left:g} to {right:g} where its input is {place:g}, and there rounding decides; supported: "
            "sides that agree where they meet",
            _REMEDY,
        )
    else:
        _written(builder, node, found.base, found.pieces)


def _why(builder: Builder, node: OnnxNode) -> UnsupportedError:
    if node.op != "Where" and node.op not in CHOICES:
        return next(builder.pending[name] for name in node.inputs if name in builder.pending)
    traces = [_traced(builder, name) for name in node.inputs]
    bases = [builder.origins.get(found.base or "") for found in traces if found is not None]
    if node.op == "Where" and any(origin is not None and origin.op == "Softplus" for origin in bases):
        return refusal(node, "chooses between Softplus and its input, and so jumps by a little", _SOFTPLUS)
    return refusal(
        node,
        "compares, or chooses by a comparison, other than lines of one computed value with single numbers, which is "
        "not supported",
        _REMEDY,
    )


def _trace(builder: Builder) -> None:
    """Follows what was read since the last choice, in the file's order."""
    for name, origin in islice(builder.origins.items(), builder.traced, None):
        found = _of(builder, origin) if name not in builder.pieces else None
        if found is not None and len(found.pieces.cuts) <= _MOST_CUTS:
            builder.pieces[name] = found
    builder.traced = len(builder.origins)


def _traced(builder: Builder, name: str) -> Traced | None:
    """None for a constant of several numbers."""
    array = builder.const(name)
    if array is None:
        return builder.pieces.get(name, Traced(name, IDENTITY))
    same = array.size > 0 and np.isfinite(array).all() and (array == array.flat[0]).all()
    return Traced(None, level(Fraction(float(array.flat[0]))), array.dtype == np.bool_) if same else None


def _of(builder: Builder, node: OnnxNode) -> Traced | None:
    """None where the node's operator is no such function of one value, or of none."""
    rule = _RULES.get(node.op)
    if rule is None:
        return None
    operands = []
    for name in node.inputs:
        operand = _traced(builder, name)
        if operand is None:
            return None
        operands.append(operand)
    bases = {operand.base for operand in operands if operand.base is not None}
    if len(bases) != 1 or not _alike(builder, node, base := bases.pop()):
        return None
    given = [operand.truth for operand in operands]
    if node.op == "Cast":
        truth = node.attrs["to"] == TensorProto.BOOL
        if (truth and given != [True]) or not (truth or FLOATS.get(node.attrs["to"]) == builder.dtype):
            return None
    elif given != [node.op in TRUTHS or (node.op == "Where" and place == 0) for place in range(len(given))]:
        return None
    else:
        truth = node.op in (*COMPARISONS, *TRUTHS)
    try:
        return Traced(base, rule(node, [operand.pieces for operand in operands]), truth)
    except NoPiecesError:
        return None


def _alike(builder: Builder, node: OnnxNode, base: str) -> bool:
    """Whether every operand and the result have the shape of the base."""
    dims = builder.value(base).dims
    for name in node.inputs:
        array = builder.const(name)
        if array is not None:
            if len(array.shape) > len(dims) or broadcast(node, array.shape, dims) != dims:
                return False
        elif name not in builder.pieces and builder.value(name).dims != dims:
            return False
    return True


def _written(builder: Builder, node: OnnxNode, base: str, pieces: Pieces) -> None:
    value = builder.value(base)
    cuts, lines = pieces.cuts, pieces.lines
    flattest = min(range(len(lines)), key=lambda k: abs(lines[k][0]))
    within = sum(cut < 0 for cut in cuts)  # numbers far from 0 would swallow what they are added to
    start = flattest if all(abs(cut) <= ORDINARY for cut in cuts) else within
    slope, offset = lines[start]
    line = scaled(builder, node, value.name, _number(builder, node, slope))
    parts = [shifted(builder, node, line, _number(builder, node, offset))]
    for k, (cut, (left, right)) in enumerate(zip(cuts, pairwise(lines), strict=True)):
        side = 1 if k >= start else -1
        turned = scaled(builder, node, value.name, side)
        bend = builder.emit(node, "Relu", [shifted(builder, node, turned, -side * _number(builder, node, cut))])
        parts.append(scaled(builder, node, bend, _number(builder, node, right[0] - left[0])))
    total = parts[0]
    for part in parts[1:]:
        total = builder.emit(node, "Add", [total, part])
    builder.bind(node, total, value.dims)


def _number(builder: Builder, node: OnnxNode, exact: Fraction) -> float:
    try:
        number = float(exact)
    except OverflowError as error:
        raise refusal(node, "makes numbers beyond float64 of its constants", "Check the export") from error
    if Fraction(number) != exact:
        builder.rounds(ROUNDED)
    return number


def _plus(sign: int) -> Callable[[Sequence[Line], Fraction], Line]:
    return lambda lines, x: (lines[0][0] + sign * lines[1][0], lines[0][1] + sign * lines[1][1])


def _times(lines: Sequence[Line], x: Fraction) -> Line:
    (a, b), (c, d) = lines
    if a and c:
        raise NoPiecesError
    return a * d + b * c, b * d


def _over(lines: Sequence[Line], x: Fraction) -> Line:
    (a, b), (c, d) = lines
    if c or not d:
        raise NoPiecesError
    return a / d, b / d


def _compared(node: OnnxNode, parts: Sequence[Pieces]) -> Pieces:
    test, difference = COMPARISONS[node.op], combined(_plus(-1), parts)
    return combined(lambda lines, x: (Fraction(0), Fraction(test(value_of(lines[0], x), 0))), [difference], difference)


def _by_sign(below: int, above: int, slope: bool) -> Rule:
    """below · z or above · z by the sign of z; the factors themselves where `slope` says not to multiply."""

    def apply(node: OnnxNode, parts: Sequence[Pieces]) -> Pieces:
        def rule(lines: Sequence[Line], x: Fraction) -> Line:
            value = value_of(lines[0], x)
            factor = Fraction(above if value > 0 else below if value < 0 else 0)
            return (factor * lines[0][0], factor * lines[0][1]) if slope else (Fraction(0), factor)

        return combined(rule, parts, parts[0])

    return apply


def _chosen(node: OnnxNode, parts: Sequence[Pieces]) -> Pieces:
    return combined(lambda lines, x: lines[1] if value_of(lines[0], x) else lines[2], parts)


def _logical(node: OnnxNode, parts: Sequence[Pieces]) -> Pieces:
    test = TRUTHS[node.op]
    return combined(lambda lines, x: (Fraction(0), Fraction(test([bool(offset) for _, offset in lines]))), parts)


_RULES: dict[str, Rule] = {
    "Abs": _by_sign(-1, 1, True),
    "Add": lambda node, parts: combined(_plus(1), parts),
    "Cast": lambda node, parts: parts[0],
    "Div": lambda node, parts: combined(_over, parts),
    "Identity": lambda node, parts: parts[0],
    "Mul": lambda node, parts: combined(_times, parts),
    "Neg": lambda node, parts: combined(lambda lines, x: (-lines[0][0], -lines[0][1]), parts),
    "Relu": _by_sign(0, 1, True),
    "Sign": _by_sign(-1, 1, False),
    "Sub": lambda node, parts: combined(_plus(-1), parts),
    "Where": _chosen,
    **dict.fromkeys(COMPARISONS, _compared),
    **dict.fromkeys(TRUTHS, _logical),
}
