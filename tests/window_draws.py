"""How operators on windows of images are drawn, as in operator_draws.py."""

from typing import Any

from draft import Draft, Drawn


def window(draft: Draft, sizes: tuple[int, ...], pads: bool = True) -> dict[str, Any]:
    """kernel_shape, strides and pads that fit."""
    kernel = [draft.whole(1, min(3, n)) for n in sizes]
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": [draft.whole(1, 2) for _ in sizes]}
    if pads and draft.chance():
        attrs["pads"] = [draft.whole(0, k - 1) for k in (*kernel, *kernel)]
    elif draft.chance(0.3):
        attrs["auto_pad"] = draft.one_of(["SAME_UPPER", "SAME_LOWER", "VALID"])
        attrs["strides"] = [min(s, k) for s, k in zip(attrs["strides"], kernel, strict=True)]  # else pads are negative
    return attrs


def convolution(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) not in (3, 4):
        return None
    _, channels, *sizes = draft.dims[x]
    attrs = window(draft, tuple(sizes))
    group = draft.one_of([g for g in range(1, channels + 1) if channels % g == 0])
    outs = group * draft.whole(1, 2)
    if "auto_pad" not in attrs and all(2 * (k - 1) < n for k, n in zip(attrs["kernel_shape"], sizes, strict=True)):
        attrs["dilations"] = [draft.whole(1, 2) for _ in sizes]
    weight = draft.normal(outs, channels // group, *attrs["kernel_shape"])
    return [x, weight, *([draft.normal(outs, scale=0.3)] if draft.chance() else [])], {**attrs, "group": group}


def deconvolution(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) not in (3, 4):
        return None
    _, channels, *sizes = draft.dims[x]
    attrs = window(draft, tuple(sizes))
    attrs.pop("auto_pad", None)
    group = draft.one_of([g for g in range(1, channels + 1) if channels % g == 0])
    outs = draft.whole(1, 2)
    weight = draft.normal(channels, outs, *attrs["kernel_shape"])
    bias = [draft.normal(group * outs, scale=0.3)] if draft.chance() else []
    attrs["output_padding"] = [draft.whole(0, s - 1) for s in attrs["strides"]]
    return [x, weight, *bias], {**attrs, "group": group}


def pooling(draft: Draft, x: str) -> Drawn:
    if len(draft.dims[x]) not in (3, 4):
        return None
    sizes = draft.dims[x][2:]
    attrs = window(draft, sizes)
    pads = attrs.get("pads", [0] * 2 * len(sizes))
    ends = zip(sizes, attrs["kernel_shape"], attrs["strides"], pads[: len(sizes)], pads[len(sizes) :], strict=True)
    inside = all(-((k - n - before - after) // s) * s < n + before for n, k, s, before, after in ends)
    if draft.opset >= 11 and "auto_pad" not in attrs and inside and draft.chance(0.3):
        attrs["ceil_mode"] = 1  # onnx counts windows that start beyond the image, onnxruntime does not
    return [x], attrs


def averaging(draft: Draft, x: str) -> Drawn:
    found = pooling(draft, x)
    return found and (found[0], {**found[1], "count_include_pad": draft.whole(0, 1)})
