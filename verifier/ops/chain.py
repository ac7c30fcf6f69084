"""Back-substitution from a ReLU through all that lies below it, where that is a chain of ReLUs and convolutions.

    out = sum over the ReLUs of (A+ lower + A- upper)  -  |A| radius

`Chain` says what the chain looks like; every number in it is a constant of the program compiled for it (`compiled`,
c/chain.h), which carries a vector of rows at a time from the first ReLU to the radius, in cache. It runs on a CPU, for
a single network or for a population of them.
"""

from functools import cache
from typing import NamedTuple

import torch

from ..engine.compiled import lanes as lanes_of
from . import compiled
from .forms import Shape, Window, widened


class Step(NamedTuple):
    """A ReLU's map [C, H, W], and the convolution below it: weight [C, I, KH, KW], strides, top and left padding."""

    map: Shape
    weight: Shape
    strides: tuple[int, int]
    pads: tuple[int, int]


class Chain(NamedTuple):
    """The steps in the order of back-substitution, the shape of the radius's map, the first window (None: whole).

    own: every row has lower lines of its own; without a window only.
    """

    steps: tuple[Step, ...]
    end: Shape
    window: Window | None
    own: bool = False


@cache
def source(chain: Chain, rows: int, dtype: torch.dtype) -> compiled.Source:
    """The C program for a chain."""
    lanes = lanes_of(rows, dtype.itemsize)
    window, text = chain.window, [f"#define LANES {lanes}", f"#define DOUBLE {int(dtype == torch.float64)}"]
    text.append(f"#define OWN {-(-rows // lanes) * lanes if chain.own else 0}")
    text += ['#include "vector.h"', '#include "step_table.h"']
    entries = []
    for k, step in enumerate(chain.steps):
        (c, h, w), (_, i, kh, kw), (sh, sw) = step.map, step.weight, step.strides
        below = chain.steps[k + 1].map if k + 1 < len(chain.steps) else chain.end
        rh, rw = window.size if window else (h, w)
        pad = (0, 0) if window else step.pads
        fh = (rh - 1) * sh + kh if window else max((rh - 1) * sh + kh, pad[0] + below[1])
        fw = (rw - 1) * sw + kw if window else max((rw - 1) * sw + kw, pad[1] + below[2])
        values = dict(C=c, H=h, W=w, RH=rh, RW=rw, I=i, KH=kh, KW=kw, SH=sh, SW=sw, FH=fh, FW=fw)
        text += [f"#define {name} {value}" for name, value in values.items()]
        text += [f"#define NAME(x) x##_{k}", '#include "step.h"']
        start, stride = (window.start, window.stride) if window else ((0, 0), (0, 0))
        numbers = [c * rh * rw, i * fh * fw, c * i * kh * kw, c * h * w, pad[0] * fw + pad[1], fh * fw, fw]
        numbers += [rh, rw, *start, *stride]
        functions = ("relax", "relax_gradient", "transpose", "convolve", "weight_gradient")
        entries.append("{" + ", ".join([f"{name}_{k}" for name in functions] + [str(n) for n in numbers]) + "}")
        window = window and widened(window, step.weight[2:], step.strides, step.pads, (1, 1))
    start, stride = (window.start, window.stride) if window else ((0, 0), (0, 0))
    positions, seen = (window.positions, window.size) if window else ((1, 1), chain.end[1:])
    ends: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = [
        ("POSITIONS_", ("Y", "X"), positions),
        ("END_", ("C", "H", "W"), chain.end),
        ("END_R", ("H", "W"), seen),
        ("END_START_", ("Y", "X"), start),
        ("END_STRIDE_", ("Y", "X"), stride),
    ]
    text += [f"static const struct step steps[] = {{{', '.join(entries)}}};"]
    text.append(f"#define STEPS {len(chain.steps)}")
    for name, axes, extents in ends:
        text += [f"#define {name}{axis} {extent}" for axis, extent in zip(axes, extents, strict=True)]
    return compiled.Source("\n".join([*text, '#include "chain.h"', ""]), lanes)
