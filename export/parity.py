"""Does an artifact, in its own runtime, compute what the checkpoint computes?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.graph import Model

from .module import Network

Open = Callable[[Path], Callable[[np.ndarray], np.ndarray]]

# Of the largest logit (or of 1): summation orders differ between runtimes, and nothing else may.
TOLERANCE = 1e-4
_BATCH = 256
# onnxruntime's are turned into RuntimeError in runtime.py; torch.export guards its inputs with AssertionError too.
_RUNTIME_ERRORS = (RuntimeError, AssertionError)


class ParityError(GlscertError):
    """An exported file that does not compute what the checkpoint computes."""


def max_difference(model: Model, path: Path, open: Open, inputs: np.ndarray) -> float:
    """Largest absolute difference between the logits of `path` and of `model` on inputs [N, *v].

    The first image is also run alone, so that a batch axis fixed while exporting is found out.
    Raises `ParityError` beyond the tolerance or where a predicted class differs, `InputError` for unusable inputs.
    """
    inputs = _checked(model, inputs)
    network = Network(model.graph, model.params).eval()
    try:
        run = open(path)
    except _RUNTIME_ERRORS as error:
        raise ParityError(f"the exported file cannot be opened by its own runtime: {error}") from error
    largest = 0.0
    for start, stop in [(0, 1), *((i, i + _BATCH) for i in range(0, len(inputs), _BATCH))]:
        batch = inputs[start:stop]
        with torch.no_grad():
            expected = network(torch.from_numpy(batch)).numpy()
        try:
            found = run(batch)
        except _RUNTIME_ERRORS as error:
            raise ParityError(f"the exported file does not run on {len(batch)} images: {error}") from error
        largest = max(largest, _difference(expected, found, start))
    return largest


def _difference(expected: np.ndarray, found: np.ndarray, start: int) -> float:
    if found.shape != expected.shape:
        raise ParityError(
            f"the exported file gives logits {list(found.shape)} where the checkpoint gives {list(expected.shape)}."
        )
    difference = float(np.abs(found - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:  # a NaN too
        raise ParityError(
            f"the exported file differs from the checkpoint by {difference:.3g} in a logit; allowed: {allowed:.3g}. "
            "Nothing was put in place."
        )
    classes = expected.argmax(1) != found.argmax(1)
    if classes.any():
        raise ParityError(
            f"the exported file gives image {start + int(classes.argmax())} another class than the checkpoint. "
            "Nothing was put in place."
        )
    return difference


def _checked(model: Model, inputs: np.ndarray) -> np.ndarray:
    shape = model.graph.input_shape
    if len(inputs) == 0 or inputs.shape[1:] != shape:
        raise InputError(
            f"the images to compare on have shape {list(inputs.shape)}; the network takes {['N', *shape]} with N of at "
            "least 1. Give images of the data set the network was trained on."
        )
    dtype = next((array.dtype for array in model.params.values()), np.dtype(np.float32))
    inputs = np.ascontiguousarray(inputs, dtype)
    if not np.isfinite(inputs).all():
        raise InputError("the images to compare on hold NaN or infinity. Give images of the network's data set.")
    return inputs
