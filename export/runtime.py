"""An ONNX file run by onnxruntime on the CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

# They share no base of their own.
_FAILURES = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
)


def open_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file at `path` as a function x [B, *v] -> logits [B, K]; any failure is a `RuntimeError`."""
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise RuntimeError(str(error)) from error
    name = session.get_inputs()[0].name

    def run(x: np.ndarray) -> np.ndarray:
        try:
            return session.run(None, {name: x})[0]
        except _FAILURES as error:
            raise RuntimeError(str(error)) from error

    return run
