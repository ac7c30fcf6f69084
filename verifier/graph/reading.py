"""What a network file takes and gives: the tensors that onnxruntime is fed and answers with."""

from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Port:
    """A tensor that the file takes or gives; `dims` are those of one image, a batch axis included, as 1."""

    name: str
    dims: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.dims)


@dataclass(frozen=True)
class Reading:
    """One way to see the file as the function of one image.

    batch: how many images it takes at once along the first axis of every tensor, 0 for any number; None where it has no
    such axis: then it takes one. logits: the file's values that a graph made of it computes, one after the other: its
    outputs, or what its ending is applied to.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]
    dtype: np.dtype
    batch: int | None
    logits: tuple[Port, ...] = ()

    @property
    def entries(self) -> int:
        """Numbers in an image."""
        return sum(port.size for port in self.inputs)
