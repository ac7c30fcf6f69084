"""The original file in onnxruntime on the CPU: the judge of every prediction and every counterexample."""

from collections.abc import Sequence
from functools import cached_property
from zlib import crc32

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from .errors import UnsupportedError
from .graph import Graph
from .graph.functions import inlined
from .graph.read import ModelFile, runnable
from .graph.reading import Reading

# They share no base of their own.
_FAILURES = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)

_ALIKE = 1e-4  # of the largest output, how far an image's answer may move for the company it is in
_COMPANY = np.array([0.1, 1.0, 10.0])  # how far off the other images of a fixed batch are


class Runtime:
    """An onnxruntime session over a model file. Raises `UnsupportedError` where it cannot run it.

    Nodes that the outputs do not depend on are left out: onnxruntime would run them, whatever they take. `sha256` is
    the file's, with the weights beside it.
    """

    def __init__(self, file: ModelFile, reading: Reading, threads: int = 0) -> None:
        """reading: how the file is fed, as the graph made of it has it. threads: 0: as many as onnxruntime takes."""
        self._threads = threads
        self.file, self.reading, self.sha256 = file, reading, file.sha256
        self.dtype = np.dtype(reading.dtype)  # of what it is fed
        self._session = self._opened(runnable(file))
        self._inside: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The file's outputs [N, K] for inputs [N, *v]; one by one where the file does not take many together.

        Of several outputs the entries of all. Entries may be infinite or NaN: whatever the file's network answers.
        """
        rows = self._rows(x)
        size = self.reading.batch if self.reading.batch is not None else 1
        if size == 0:
            size = len(rows) if len(rows) > 1 and self._takes_many else 1
        if not len(rows):
            return self._together(np.zeros_like(rows, shape=(1, rows.shape[1])), size)[:0]
        return np.concatenate([self._together(rows[at : at + size], size) for at in range(0, len(rows), size)])

    def single(self, x: np.ndarray) -> list[np.ndarray]:
        """The file's outputs for one input [*v], each in its own shape, with a batch of one."""
        return self._alone(self._session, self._rows(x[None]))

    def inside(self, names: Sequence[str], x: np.ndarray) -> list[np.ndarray]:
        """As `single`, of values that the file computes on the way, by name."""
        key = tuple(names)
        if key not in self._inside:
            model = onnx.load_model_from_string(runnable(self.file._replace(model=inlined(self.file.model))))
            del model.graph.output[:]
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(key))
            self._inside[key] = self._opened(model.SerializeToString())
        return self._alone(self._inside[key], self._rows(x[None]))

    @cached_property
    def _takes_many(self) -> bool:
        """Whether images given together get the answers that each gets alone: a file may hard-code a batch of one."""
        rows = np.random.default_rng(0).random((3, self.reading.entries)).astype(self.reading.dtype)
        alone = np.concatenate([self._together(row[None], 1) for row in rows])
        try:
            together = self._together(rows, len(rows))
        except UnsupportedError:
            return False
        with np.errstate(all="ignore"):
            near = np.abs(together - alone) <= _ALIKE * np.abs(alone).max(initial=0)
        return bool((near | (together == alone) | (np.isnan(together) & np.isnan(alone))).all())

    def _rows(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), self.reading.entries).astype(self.reading.dtype, copy=False)

    def _together(self, rows: np.ndarray, size: int) -> np.ndarray:
        """Outputs [N, K] of rows [N, n] in one run, which takes `size` images: the last is repeated."""
        filled = rows if len(rows) == size else rows[np.minimum(np.arange(size), len(rows) - 1)]
        outputs = self._run(self._session, filled)
        self._check_rows(outputs, size)
        return np.concatenate([output.reshape(size, -1)[: len(rows)] for output in outputs], axis=1)

    def _alone(self, session: onnxruntime.InferenceSession, row: np.ndarray) -> list[np.ndarray]:
        """What a session gives for row [1, n]: of a fixed batch its part, among rows that are none like it.

        Its place differs from row to row: a file whose images influence each other shows it.
        """
        batch = self.reading.batch
        if not batch:
            return self._run(session, row)
        random = np.random.default_rng(crc32(row.tobytes()))
        company = random.normal(size=(batch, row.shape[1])) * _COMPANY[random.integers(len(_COMPANY), size=(batch, 1))]
        place = int(random.integers(batch))
        with np.errstate(over="ignore"):
            rows = (company * (1 + np.abs(row).max(initial=0))).astype(row.dtype)
        rows[place] = row[0]
        outputs = self._run(session, rows)
        if session is self._session:
            self._check_rows(outputs, batch)
        return [output[place : place + 1] if output.shape[:1] == (batch,) else output for output in outputs]

    def _check_rows(self, outputs: list[np.ndarray], size: int) -> None:
        if size > 1 and any(output.shape[:1] != (size,) for output in outputs):
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            raise UnsupportedError(
                f"{self.file.path}: given {size} images, onnxruntime answers with {shapes}, which has no row for each. "
                "Export the network with a batch of one, or with a symbolic one."
            )

    def _run(self, session: onnxruntime.InferenceSession, rows: np.ndarray) -> list[np.ndarray]:
        feed, first = {}, 0
        for port in self.reading.inputs:
            dims = port.dims if self.reading.batch is None else (len(rows), *port.dims[1:])
            feed[port.name] = rows[:, first : first + port.size].reshape(dims)
            first += port.size
        try:
            return [np.asarray(output) for output in session.run(None, feed)]
        except _FAILURES as error:
            raise UnsupportedError(f"{self.file.path}: onnxruntime cannot run this model: {error}") from error

    def _opened(self, data: bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the processor to the bounds
        # Else products with a quantised weight round the values they meet to 8 bits.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            return onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise UnsupportedError(f"{self.file.path}: onnxruntime cannot load this model: {error}") from error


def opened(file: ModelFile, graph: Graph, threads: int = 0) -> Runtime:
    """onnxruntime on the file that the graph was read from."""
    if graph.reading is None:
        raise ValueError("this graph was not read from a file")
    return Runtime(file, graph.reading, threads)


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """y_t - max over j != t of y_j: [N]; positive where the label strictly wins."""
    rows = np.arange(len(labels))
    rest = logits.copy()
    rest[rows, labels] = -np.inf
    return logits[rows, labels] - rest.max(1)
