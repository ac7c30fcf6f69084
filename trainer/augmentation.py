"""Random flips and shifts of training images (paper, App. E.5: CIFAR-10)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 2


def flip_and_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """x [B, C, H, W], each image mirrored with probability 1/2 and cropped to H x W after 2 pixels of zero padding."""
    batch, channels, height, width = x.shape
    mirrored = torch.rand(batch, generator=generator).to(x.device) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, batch), generator=generator).to(x.device)
    rows = (top[:, None] + torch.arange(height, device=x.device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(width, device=x.device))[:, None, None, :]
    image = torch.arange(batch, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[None, :, None, None]
    return pad(x, (SHIFT,) * 4)[image, channel, rows, columns]
