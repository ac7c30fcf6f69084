"""Linear forms over one value of the graph: what back-substitution carries.

A form holds the coefficients A of `A · v` for M rows over a value v [B, *v]. Without a window every row spans the
whole value. With one, a row spans only what a convolution's neuron sees, which is all there is while the receptive
field is smaller than the layer (the "patches" of Xu et al. 2020, arXiv:2002.12920). Rows count (position, row).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]


class Window(NamedTuple):
    """Output position (y, x) sees rows y·stride + start, `size` of them, and columns likewise: (vertical,
    horizontal)."""

    positions: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]


class Form(NamedTuple):
    """`coef` [B|1, L|1, R, q]: M = L·R rows over q entries of the value; a leading 1 stands for "the same for all".

    window None: L = 1 and q is the whole value, flattened. Otherwise the value is [C, H, W] and q = C·kh·kw; entries
    beside the map do not count, and are zero where `clean`.
    """

    coef: Tensor
    window: Window | None = None
    clean: bool = False

    @property
    def shared(self) -> bool:
        """The same coefficients for every input and position."""
        return self.coef.shape[0] == 1 and self.coef.shape[1] == 1


def widened(
    window: Window, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]
) -> Window:
    """The window over a convolution's input that a window over its output amounts to; pads: top, left first."""
    (kh, kw), (sh, sw), (top, left), (dh, dw) = kernel, strides, pads[:2], dilations
    (height, width), (down, right), (y, x) = window.size, window.stride, window.start
    return Window(
        window.positions,
        ((height - 1) * sh + (kh - 1) * dh + 1, (width - 1) * sw + (kw - 1) * dw + 1),
        (down * sh, right * sw),
        (y * sh - top, x * sw - left),
    )


def look(value: Tensor, window: Window | None) -> Tensor:
    """A value [B, S, *v] as the rows see it, zero beside the map: [B, L, S, q]. With a window S = 1."""
    if window is None:
        return value.flatten(2).unsqueeze(1)
    covered = _tile(value.flatten(1, 2), window)
    seen = F.unfold(covered, window.size, stride=window.stride).transpose(-1, -2)
    return seen.contiguous().unsqueeze(2)


def inside(form: Form, shape: Shape) -> Form:
    """The same form with the entries beside the map at zero."""
    if (
        form.window is None
        or form.clean
        or all(
            start >= 0 and (n - 1) * stride + start + size <= extent
            for n, size, stride, start, extent in zip(*form.window[:4], shape[1:], strict=True)
        )
    ):
        return form
    mask = look(form.coef.new_ones(1, 1, *shape), form.window)
    return form._replace(coef=form.coef * mask, clean=True)


def identity(shape: Shape, like: Tensor, part: slice = slice(None)) -> Form:
    """Rows v and -v for every entry of a value: lower bounds of these are both bounds of v.

    part: only these of its channels [C, H, W], or of its entries if it has other axes.
    """
    size = shape[0] if len(shape) == 3 else int(torch.Size(shape).numel())
    eye = torch.eye(size, dtype=like.dtype, device=like.device)[part]
    window = Window((shape[1], shape[2]), (1, 1), (1, 1), (0, 0)) if len(shape) == 3 else None
    return Form(torch.cat([eye, -eye])[None, None], window)


def identity_bounds(rows: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Lower bounds [B, M] of the rows of `identity` -> (lower, upper), each [B, channels or entries, ...]."""
    positions = shape[1:] if len(shape) == 3 else ()
    both = rows.reshape(rows.shape[0], int(torch.Size(positions).numel()), 2, -1).permute(2, 0, 3, 1)
    lower, minus_upper = both.reshape(2, rows.shape[0], -1, *positions).unbind(0)
    return lower, -minus_upper


def whole(form: Form, shape: Shape) -> Form:
    """Spell a form out over the whole value: no window, rows in the same order."""
    if form.window is None:
        return form
    coef = inside(form, shape).coef
    batch, _, rows, entries = coef.shape
    spots = int(torch.Size(shape).numel())
    number = torch.arange(1, spots + 1, dtype=torch.float64, device=coef.device).reshape(1, 1, *shape)
    target = look(number, form.window).long()  # [B|1, L, 1, q]; 0 for entries beside the map
    batch, count = max(batch, target.shape[0]), target.shape[1]
    blank = coef.new_zeros(()).expand(batch, count, rows, spots + 1)
    full = blank.scatter(-1, target.expand(batch, count, rows, entries), coef.expand(batch, count, rows, entries))
    return Form(full[..., 1:].reshape(batch, 1, count * rows, spots))


def plus(a: Form | None, b: Form, shape: Shape) -> Form:
    """The sum of two forms over the same value (where branches meet)."""
    if a is None:
        return b
    if _same(a.window, b.window):
        return a._replace(coef=a.coef + b.coef, clean=a.clean and b.clean)
    window = _around(a.window, b.window)
    if window is None or window.size[0] * window.size[1] >= shape[1] * shape[2]:
        return Form(whole(a, shape).coef + whole(b, shape).coef)
    return Form(_framed(a, shape[0], window) + _framed(b, shape[0], window), window, a.clean and b.clean)


def _same(a: Window | None, b: Window | None) -> bool:
    if a is None or b is None:
        return a is b
    return a[:4] == b[:4]


def _around(a: Window | None, b: Window | None) -> Window | None:
    """The least window that covers both; None where they do not move alike."""
    if a is None or b is None or (a.positions, a.stride) != (b.positions, b.stride):
        return None
    (y, x), (down, right) = (
        tuple(reach(p, q) for p, q in zip(first, second, strict=True))
        for reach, first, second in (
            (min, a.start, b.start),
            (max, _stop(a), _stop(b)),
        )
    )
    return a._replace(start=(y, x), size=(down - y, right - x))


def _stop(window: Window) -> tuple[int, int]:
    return window.start[0] + window.size[0], window.start[1] + window.size[1]


def _framed(form: Form, channels: int, window: Window) -> Tensor:
    """The coefficients in a frame of zeros, as a wider window has them."""
    own = form.window
    if own is None:
        raise ValueError("a form without a window cannot be framed")
    (height, width), (y, x) = own.size, (own.start[0] - window.start[0], own.start[1] - window.start[1])
    coef = form.coef.unflatten(-1, (channels, height, width))
    return F.pad(coef, (x, window.size[1] - x - width, y, window.size[0] - y - height)).flatten(-3)


def dot(form: Form, value: Tensor) -> Tensor:
    """A · v for values [B|1, S, *v], S = 1 or M: [B|1, M]. A convolution where a window's coefficients are shared."""
    if form.window is None:
        return _row_sums(form.coef, look(value, None))
    if not form.shared:
        return _row_sums(form.coef, look(value, form.window))  # entries beside the map meet zeros
    if form.window[:4] == (value.shape[-2:], (1, 1), (1, 1), (0, 0)):
        return (form.coef[0] @ value.flatten(3).squeeze(1)).transpose(1, 2).flatten(1)
    kernel = form.coef[0, 0].unflatten(1, (-1, *form.window.size))
    covered = _tile(value.squeeze(1), form.window)
    return F.conv2d(covered, kernel, stride=form.window.stride).flatten(2).transpose(1, 2).flatten(1)


def signed_parts(coef: Tensor) -> tuple[Tensor, Tensor]:
    """max(A, 0) and min(A, 0). The gradient of a clamp is many times slower than ReLU's on a CPU."""
    positive = torch.relu(coef)
    return positive, coef - positive


def spread(form: Form, radius: Tensor) -> Tensor:
    """|A| · r for radii [B, 1, *v] >= 0: [B, M]."""
    if form.shared:
        return dot(form._replace(coef=form.coef.abs()), radius)
    return _AbsoluteSums.apply(form.coef, look(radius, form.window)).flatten(1)


class _AbsoluteSums(torch.autograd.Function):
    """sum over q of |coef| · seen, coef [B|1, L|1, R, q], seen [B, L, 1, q]; the gradient keeps only these."""

    generate_vmap_rule = True

    @staticmethod
    def forward(coef: Tensor, seen: Tensor) -> Tensor:
        return (coef.abs() * seen).sum(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        coef, seen = ctx.saved_tensors
        to_coef = (coef.sign() * seen * grad.unsqueeze(-1)).sum_to_size(coef.shape) if ctx.needs_input_grad[0] else None
        to_seen = (coef.abs() * grad.unsqueeze(-1)).sum(-2, keepdim=True) if ctx.needs_input_grad[1] else None
        return to_coef, to_seen


def _row_sums(coef: Tensor, seen: Tensor) -> Tensor:
    """coef [B|1, L|1, R, q] times seen [B|1, L, S, q], summed over q: [B|1, L·R]."""
    if coef.shape[:2] == (1, 1) and seen.shape[2] == 1:
        return (seen.squeeze(2) @ coef[0, 0].transpose(-1, -2)).flatten(1)
    return (coef * seen).sum(-1).flatten(1)


def _tile(value: Tensor, window: Window) -> Tensor:
    """Pad or crop a value [N, C, H, W] to what the windows cover: they tile the result exactly, from its corner."""
    pads: list[int] = []
    cuts: list[slice] = []
    for n, size, stride, start, extent in zip(*window[:4], value.shape[-2:], strict=True):
        stop, before = start + (n - 1) * stride + size, max(0, -start)
        pads = [before, max(0, stop - extent), *pads]
        cuts.append(slice(start + before, stop + before))
    return F.pad(value, pads)[..., cuts[0], cuts[1]]
