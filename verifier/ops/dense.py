"""DeepPoly over many boxes of inputs at once, for networks that are dense layers and ReLUs: a compiled program.

For a few inputs and thousands of boxes, as splitting the input makes them. In float64, rows side by side in a vector,
from the box to the network's rows in cache (c/dense.h). One program for networks of all sizes.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import compiled

_WIDE = 12  # columns that c/dense.h takes at a time
_LEAST = 64  # boxes that are worth a thread
_TEXT = '#define LANES {lanes}\n#define DOUBLE 1\n#include "vector.h"\n#include "dense.h"\n'


class DenseLayer(NamedTuple):
    """y = W x + b: weight [out, in], bias [out], float64."""

    weight: Tensor
    bias: Tensor


class BoxBounds(NamedTuple):
    """Of boxes [B]: lower bounds [B, M] of the rows; the lines coef [B, M, in] · x + constant below them that are least
    there; signs [B, neurons] of the pre-activations, int8: 1 never negative, -1 never positive, 0 unstable."""

    lower: Tensor
    coef: Tensor
    signs: Tensor


class _LayerRecord(ctypes.Structure):
    """`struct layer` of c/dense.h."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("out", "in_", "pitch")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias")),
    ]


class DenseNetwork:
    """Hidden layers with a ReLU after each, ready for `bounds`. Use `dense_network`."""

    def __init__(self, library: ctypes.CDLL, hidden: list[DenseLayer]) -> None:
        self._library, self._hidden = library, [_kept(layer) for layer in hidden]
        library.scratch_reals.restype = ctypes.c_long
        library.bounds.restype = None

    @property
    def neurons(self) -> int:
        return sum(record.out for record, _ in self._hidden)

    def bounds(
        self, last: DenseLayer, lower: Tensor, upper: Tensor, error: Tensor, signs: Tensor | None = None
    ) -> BoxBounds:
        """Bounds of the rows `last` [M] over the last ReLUs, for boxes lower, upper [B, in], float64.

        error [B, neurons]: by how much the boxes of the pre-activations are widened, for rounding. signs [B, neurons]:
        what is known already, of a box around each: saves most of the work deep in a search.
        """
        lower, upper, error = lower.contiguous(), upper.contiguous(), error.contiguous()
        boxes, inputs, rows = *lower.shape, len(last.bias)
        layers = [*self._hidden, _kept(last)]
        records = (_LayerRecord * len(layers))(*(record for record, _ in layers))
        found = BoxBounds(
            lower.new_empty(boxes, rows),
            lower.new_empty(boxes, rows, inputs),
            torch.zeros(boxes, self.neurons, dtype=torch.int8) if signs is None else signs.clone(),
        )
        hidden = ctypes.c_long(len(self._hidden))
        reals = self._library.scratch_reals(records, hidden)

        def part(values: list[Tensor]) -> None:
            scratch = lower.new_empty(reals + 8)
            start = scratch.data_ptr() + -scratch.data_ptr() % 64
            arrays = [ctypes.c_void_p(value.data_ptr()) for value in values]
            self._library.bounds(records, hidden, ctypes.c_long(len(values[0])), *arrays, ctypes.c_void_p(start))

        workers = max(1, min(torch.get_num_threads(), boxes // _LEAST))
        parts = [
            list(values) for values in zip(*(v.chunk(workers) for v in (lower, upper, error, *found)), strict=True)
        ]
        if len(parts) == 1:
            part(parts[0])
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(part, parts))
        return found


def dense_network(hidden: list[DenseLayer]) -> DenseNetwork | None:
    """None where there is no compiler. Raises ValueError: layers that do not follow on one another, or none."""
    if not hidden or any(len(a.bias) != b.weight.shape[1] for a, b in zip(hidden, hidden[1:], strict=False)):
        raise ValueError("a dense network is at least one hidden layer, each of the size of the one before")
    library = compiled.library(_TEXT.format(lanes=compiled.lanes(_LEAST, 8)))
    return None if library is None else DenseNetwork(library, hidden)


def _kept(layer: DenseLayer) -> tuple[_LayerRecord, Any]:
    """The layer as the program wants it, and what must live as long."""
    out, inputs = layer.weight.shape
    weight = np.zeros((out, -(-inputs // _WIDE) * _WIDE))
    weight[:, :inputs], bias = layer.weight, np.ascontiguousarray(layer.bias)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (weight, bias))
    return _LayerRecord(out, inputs, weight.shape[1], *pointers), (weight, bias)
