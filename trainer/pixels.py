"""Images kept as bytes, a quarter of the memory, and turned into numbers where they are used."""

import numpy as np
import torch
from torch import Tensor


class Pixels:
    """x [N, *v] of bytes on a device; `x[i]` gives float32 in [0, 1], the very numbers that dividing by 255 gives."""

    def __init__(self, x: Tensor) -> None:
        self._bytes = x
        # a table, since a GPU's division by a constant rounds in its own way
        self._values = torch.from_numpy(np.arange(256, dtype=np.float32) / 255).to(x.device)

    def __len__(self) -> int:
        return len(self._bytes)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return self._values[self._bytes[index].int()]
