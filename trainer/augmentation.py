"""Random flips and crops of training images, on their device (paper, App. E.5: 2 zero pixels, TinyImageNet 4).

The authors' code repeats the edge where the paper says zeros: `mode="edge"`.
"""

import torch
from torch import Tensor

from glscert.verifier.errors import InputError

MODES = ("zeros", "edge")


def flip_and_crop(x: Tensor, generator: torch.Generator, *, pad: int, mode: str) -> Tensor:
    """x [B, C, H, W], each image mirrored with probability 1/2, then padded by `pad` and cropped to H x W at random.

    The draws come from `generator` (CPU), so that they are the same on every device.
    """
    batch, channels, height, width = x.shape
    mirrored = (torch.rand(batch, generator=generator) < 0.5).to(x.device)
    top, left = torch.randint(-pad, pad + 1, (2, batch), generator=generator).to(x.device)
    rows = (top[:, None] + torch.arange(height, device=x.device))[:, None, :, None]  # beyond the image where padded
    columns = (left[:, None] + torch.arange(width, device=x.device))[:, None, None, :]
    seen = (0 <= rows) & (rows < height) & (0 <= columns) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    columns = torch.where(mirrored[:, None, None, None], width - 1 - columns, columns)
    image = torch.arange(batch, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[None, :, None, None]
    crops = x[image, channel, rows, columns]
    return crops if mode == "edge" else crops * seen


def check_augmentable(
    shape: tuple[int, ...], mode: str, low: tuple[float | None, ...], high: tuple[float | None, ...]
) -> None:
    """Raises InputError: inputs [*shape] that are no images, or zeros outside the valid range."""
    if len(shape) != 3:
        raise InputError(f"augment = true flips and crops images [C, H, W]; an input here is {list(shape)}.")
    outside = any(end is not None and end > 0 for end in low) or any(end is not None and end < 0 for end in high)
    if mode == "zeros" and outside:
        raise InputError('crop_mode = "zeros" pads with 0, which is outside the input range; take "edge".')
