"""The original file in onnxruntime on the CPU: the judge of every prediction and every counterexample."""

from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from .errors import UnsupportedError
from .graph.read import ModelFile, read_model, runnable

# They share no base of their own.
_FAILURES = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)


class Runtime:
    """An onnxruntime session over a model file. Raises `UnsupportedError` where it cannot run it.

    Nodes that the output does not depend on are left out: onnxruntime would run them, whatever they take. `sha256` is
    the file's, with the weights beside it.
    """

    def __init__(self, source: Path | ModelFile) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the processor to the bounds
        # Else products with a quantised weight round the values they meet to 8 bits.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        file = read_model(source)
        self._path, self.sha256 = file.path, file.sha256
        try:
            self._session = onnxruntime.InferenceSession(
                runnable(file), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except _FAILURES as error:
            raise UnsupportedError(f"{file.path}: onnxruntime cannot load this model: {error}") from error
        self._input = self._session.get_inputs()[0]

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The file's outputs [N, K] for inputs [N, *v]; one by one where the file's input has no free batch axis.

        Entries may be infinite or NaN: whatever the file's network answers.
        """
        declared, dtype = self._input.shape, np.float64 if "double" in self._input.type else np.float32
        x = x.astype(dtype, copy=False)
        if len(declared) == x.ndim and not isinstance(declared[0], int):
            return self._run(x).reshape(len(x), -1)
        shape = [extent if isinstance(extent, int) and extent > 0 else 1 for extent in declared]
        return np.stack([self._run(row.reshape(shape)).reshape(-1) for row in x])

    def _run(self, x: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._session.run(None, {self._input.name: x})[0])
        except _FAILURES as error:
            raise UnsupportedError(f"{self._path}: onnxruntime cannot run this model: {error}") from error


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """y_t - max over j != t of y_j: [N]; positive where the label strictly wins."""
    rows = np.arange(len(labels))
    rest = logits.copy()
    rest[rows, labels] = -np.inf
    return logits[rows, labels] - rest.max(1)
