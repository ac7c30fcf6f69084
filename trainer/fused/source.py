"""The program's text for a network: what c/fused.h has to know of it, every number a constant."""

from math import prod
from typing import NamedTuple

from glscert.verifier.engine.compiled import lanes as lanes_of

from .network import Layer, Network

WIDEST = 14  # entries of a line of the frame that a program sums at a time


class Sweep(NamedTuple):
    """Sizes of a convolution as c/transpose.h wants them: rows [C, RH, RW] over a frame [I, FH, FW], part of which is
    seen."""

    c: int
    rh: int
    rw: int
    i: int
    kh: int
    kw: int
    sh: int
    sw: int
    fh: int
    fw: int
    top: int
    left: int
    seen_h: int
    seen_w: int

    @property
    def name(self) -> str:
        return "_".join(map(str, self))


class Pass(NamedTuple):
    """Rows over a later layer on their way through a layer: the part of its map, or all of it, and how."""

    whole: bool
    sweep: Sweep
    frame: tuple[int, int]


def source(network: Network) -> str:
    """The C program; LANES images side by side."""
    layers = network.layers
    whole = [_whole(layer) for layer in layers[:-1]]
    passes = [_passes(layers, whole, k) for k in range(len(layers))]
    sweeps = dict.fromkeys([entry.sweep for row in passes for entry in row] + [entry.sweep for entry in whole])
    ending = {row[0].sweep for row in passes[1:]}
    # else gcc makes trees of the sums that registers hold, with twice the operations
    text = [
        '#pragma GCC optimize("no-tree-reassoc")',
        f"#define LANES {lanes_of(1 << 10, 4)}",
        "#define DOUBLE 0",
        "#include <math.h>",
        '#include "vector.h"',
        '#include "layer.h"',
    ]
    reach = _reach(layers, passes)
    for sweep in sweeps:
        text += [f"#define {name.upper()} {value}" for name, value in sweep._asdict().items()]
        text += [f"#define NAME(x) x##_{sweep.name}", '#include "transpose.h"']
        if sweep in ending:
            line, plane = (sweep.fw, sweep.fw) if layers[0].product else (reach[3], reach[2] * reach[3])
            text += [f"#define RADIUS_LINE {line}", f"#define RADIUS_PLANE {plane}", '#include "reach.h"']
        text.append('#include "forget.h"')
    text += [f"#define REACH_{name} {value}" for name, value in zip(("TOP", "LEFT", "H", "W"), reach, strict=True)]
    text += [
        f"#define LAYERS {len(layers)}",
        f"#define CLASSES {layers[-1].map[0]}",
        f"#define PARAMETERS {network.size}",
    ]
    text.append(f"static const struct layer layers[] = {{{', '.join(map(_layer, layers, [*whole, None]))}}};")
    rows = ("{" + ", ".join(_pass(entry, j == 0) for j, entry in enumerate(row)) + "}" for row in passes[1:])
    text.append(f"static const struct pass passes[LAYERS][LAYERS] = {{{{{{0}}}}, {', '.join(rows)}}};")
    return "\n".join([*text, '#include "fused.h"', ""])


def _functions(sweep: Sweep, *more: str) -> str:
    return ", ".join(f"{name}_{sweep.name}" for name in ("transpose", "convolve", "weight_gradient", *more))


def _layer(layer: Layer, whole: Pass | None) -> str:
    frame = whole.frame if whole else layer.kernel
    numbers = [*layer.below, *layer.map, *layer.kernel, *layer.strides, *layer.pads, *frame]
    return "{" + ", ".join(map(str, numbers)) + ", " + (_functions(whole.sweep) if whole else "0, 0, 0") + "}"


def _pass(entry: Pass, first: bool) -> str:
    sizes = (int(entry.whole), entry.sweep.rh, entry.sweep.rw, *entry.frame)
    ends = ("reach", "reach_gradient") if first else ()
    return "{" + ", ".join(map(str, sizes)) + ", " + _functions(entry.sweep, *ends) + "}"


def _whole(layer: Layer) -> Pass:
    """Over the whole map, in a frame that holds all of the map below with its padding."""
    (o, oh, ow), (c, h, w), (kh, kw), (sh, sw), (pt, pl) = layer[:5]
    if layer.product:  # a line may be of any length there: one that fills the registers
        entries = prod(layer.below)
        line = max(n for n in range(1, WIDEST + 1) if entries % n == 0)
        return Pass(True, Sweep(o, 1, 1, entries // line, 1, line, 1, 1, 1, line, 0, 0, 1, line), (h, w))
    fh, fw = max((oh - 1) * sh + kh, pt + h), max((ow - 1) * sw + kw, pl + w)
    return Pass(True, Sweep(o, oh, ow, c, kh, kw, sh, sw, fh, fw, pt, pl, h, w), (fh, fw))


def _passes(layers: tuple[Layer, ...], whole: list[Pass], k: int) -> list[Pass]:
    """Of rows over the inputs of layer k through those below it, from the first on."""
    found, size = [], layers[k].kernel
    for layer, all_of_it in zip(layers[:k][::-1], whole[:k][::-1], strict=True):
        if layer.product or prod(size) >= prod(layer.map[1:]):
            entry = all_of_it
        else:
            (kh, kw), (sh, sw) = layer.kernel, layer.strides
            frame = ((size[0] - 1) * sh + kh, (size[1] - 1) * sw + kw)
            entry = Pass(False, Sweep(layer.map[0], *size, layer.below[0], kh, kw, sh, sw, *frame, 0, 0, *frame), frame)
        found.append(entry)
        size = entry.frame
    return found[::-1]


def _reach(layers: tuple[Layer, ...], passes: list[list[Pass]]) -> tuple[int, int, int, int]:
    """How far rows see beyond the input's top and left, and the extent of all that they see of it or beside it."""
    (top, bottom), (left, right) = (_span(layers, passes, axis) for axis in (0, 1))
    return -top, -left, bottom - top, right - left


def _span(layers: tuple[Layer, ...], passes: list[list[Pass]], axis: int) -> tuple[int, int]:
    first, end = 0, layers[0].below[1 + axis]
    for k, layer in enumerate(layers[1:], 1):
        for position in (0, layer.map[1 + axis] - 1):
            at = position * layer.strides[axis] - layer.pads[axis]
            for entry, through in zip(passes[k][::-1], layers[:k][::-1], strict=True):
                at = (0 if entry.whole else at) * through.strides[axis] - through.pads[axis]
            first, end = min(first, at), max(end, at + passes[k][0].frame[axis])
    return first, end
