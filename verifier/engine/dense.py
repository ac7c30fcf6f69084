"""DeepPoly over many boxes of inputs at once, for networks that are dense layers and ReLUs: a compiled program.

For a few inputs and thousands of boxes, as splitting the input makes them. In float64, rows side by side in a vector,
from the box to the network's rows in cache (c/dense.h). One program for networks of all sizes.
"""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from . import compiled
from .engine import Engine
from .layers import DenseLayer, dense_layers
from .packed import record
from .plan import Array
from .threads import threads
from .tiles import aligned

_WIDE = 12  # columns that c/dense.h takes at a time
_LEAST = 64  # boxes that are worth a thread
_REAL = np.dtype(np.float64)

_LayerRecord = record("out inputs pitch weight* bias* noise* floor*")


class BoxBounds(NamedTuple):
    """Of boxes [B]: lower bounds [B, M] of the rows; the lines coef [B, M, in] · x + constant below them that are least
    there; signs [B, neurons] of the pre-activations, int8: 1 never negative, -1 never positive, 0 unstable."""

    lower: Array
    coef: Array
    signs: Array


class DenseNetwork:
    """Hidden layers with a ReLU after each, ready for `bounds` of rows over them; last: the network's own. Use
    `dense_network`."""

    def __init__(self, library: ctypes.CDLL, layers: Sequence[DenseLayer]) -> None:
        self._library, self._hidden, self.last = library, [_kept(layer) for layer in layers[:-1]], layers[-1]
        self.neurons = sum(len(layer.bias) for layer in layers[:-1])
        library.scratch_reals.restype = ctypes.c_long
        library.bounds.restype = None

    def rows(self, directions: Array) -> DenseLayer:
        """Rows [M, K] of the network's outputs as a last layer."""
        return self.last.rows(directions)

    def bounds(
        self, last: DenseLayer, lower: Array, upper: Array, error: Array, signs: Array | None = None
    ) -> BoxBounds:
        """Bounds of the rows `last` [M] over the last ReLUs, for boxes lower, upper [B, in], float64.

        error [B, neurons]: by how much the boxes of the pre-activations are widened, for what the bounds round; what
        the network does is in them. signs [B, neurons]: what is known already, of a box around each: saves most of the
        work deep in a search.
        """
        lower, upper, error = (np.ascontiguousarray(value, _REAL) for value in (lower, upper, error))
        boxes, inputs, rows = *lower.shape, len(last.bias)
        layers = [*self._hidden, _kept(last)]
        records = (_LayerRecord * len(layers))(*(numbers for numbers, _ in layers))
        found = BoxBounds(
            np.empty((boxes, rows)),
            np.empty((boxes, rows, inputs)),
            np.zeros((boxes, self.neurons), np.int8) if signs is None else np.array(signs, np.int8, order="C"),
        )
        hidden = ctypes.c_long(len(self._hidden))
        reals = self._library.scratch_reals(records, hidden)

        def part(values: tuple[Array, ...]) -> None:
            scratch = aligned((reals,), _REAL)
            numbers = [ctypes.c_void_p(value.ctypes.data) for value in (*values, scratch)]
            self._library.bounds(records, hidden, ctypes.c_long(len(values[0])), *numbers)

        workers = max(1, min(threads(), boxes // _LEAST))
        parts = list(zip(*(np.array_split(value, workers) for value in (lower, upper, error, *found)), strict=True))
        if workers == 1:
            part(parts[0])
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(part, parts))
        return found


def dense_network(engine: Engine) -> DenseNetwork | None:
    """None where the network is not dense (`dense_layers`) or there is no program and no compiler."""
    layers = dense_layers(engine)
    program = None if layers is None else compiled.program("dense.h", _REAL.itemsize)
    return None if layers is None or program is None else DenseNetwork(program.library, layers)


def _kept(layer: DenseLayer) -> tuple[Any, Any]:
    """The layer as the program wants it, and what must live as long."""
    out, inputs = layer.weight.shape
    weight = np.zeros((out, -(-inputs // _WIDE) * _WIDE))
    weight[:, :inputs], bias = layer.weight, np.array(layer.bias, _REAL)
    arrays = [weight, bias]
    if layer.noise is not None and layer.floor is not None:
        arrays += [np.array(layer.noise, _REAL, order="C"), np.array(layer.floor, _REAL)]
    numbers = [array.ctypes.data for array in arrays] + [None] * (4 - len(arrays))
    return _LayerRecord(out, inputs, weight.shape[1], *numbers), arrays
