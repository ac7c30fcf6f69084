"""A model file ready for the search: its graph, the engine for it, and onnxruntime on the file itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .agreement import check
from .arithmetic import Arithmetic, parse_arithmetic
from .engine.engine import Engine
from .engine.threads import threads
from .graph import Graph, Model, load_model
from .graph.read import ModelFile, read_model
from .replay import Runtime, opened
from .spec import Clause

_BOXES = ((0.0, 1.0), (-2.0, 2.0))  # in which it is compared with its file before anything is known of the question
_AT_ONCE = 16  # boxes
_MOST = 32  # clauses, or a few more, that show whether a network agrees where it is asked about


@dataclass(frozen=True)
class Network:
    """The loaded graph with an engine of it and its weights, onnxruntime on the file; `metadata` as in `Model`."""

    graph: Graph
    engine: Engine
    runtime: Runtime
    metadata: Mapping[str, str]

    @property
    def path(self) -> Path:
        return self.runtime.file.path

    @property
    def arithmetic(self) -> Arithmetic:
        """In which proofs hold."""
        return self.engine.arithmetic

    @property
    def entries(self) -> int:
        """Of its input."""
        return self.engine.inputs

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: from the same bytes, whatever lies under the path there."""
        model = Model(self.graph, dict(self.engine.params), dict(self.metadata))
        return _opened, (model, self.runtime.file, self.arithmetic)

    def with_graph(self, graph: Graph) -> "Network":
        """Another graph on the same weights."""
        return replace(self, graph=graph, engine=self.engine.extended(graph))

    def scores(self, x: np.ndarray) -> np.ndarray:
        """One score per class [N, K] as onnxruntime gives them for x [N, *v]; of an ArgMax 1 for its answer, else 0."""
        given = self.runtime.logits(x)
        if self.graph.ending != "ArgMax":
            return given
        return np.eye(*self.graph.output_shape, dtype=np.float32)[given[:, 0].astype(np.int64)]

    def check(self, lower: np.ndarray, upper: np.ndarray) -> None:
        """Raises `UnsupportedError` where the graph does not compute what onnxruntime does on the file: at a
        random point and a random corner of each box between lower and upper [P, *v]."""
        random = np.random.default_rng(0)
        for first in range(0, len(lower), _AT_ONCE):
            low, high = (np.asarray(end[first : first + _AT_ONCE], np.float64) for end in (lower, upper))
            share, at_lower = random.random(low.shape), random.random(low.shape) < 0.5
            with np.errstate(over="ignore", invalid="ignore"):
                inner, corner = low + (high - low) * share, np.where(at_lower, low, high)
                points = np.concatenate([inner, corner]).astype(np.float32)
            points = points[np.isfinite(points.reshape(len(points), -1)).all(1)]
            if len(points):
                check(self.engine, self.runtime, points)

    def check_clauses(self, clauses: Sequence[Clause]) -> None:
        """As `check`, in the boxes of some of these clauses."""
        some = clauses[:: max(1, len(clauses) // _MOST)]
        if some:
            shape = (len(some), *self.graph.input_shape)
            lower, upper = (np.stack([getattr(each, end) for each in some]) for end in ("lower", "upper"))
            self.check(lower.reshape(shape), upper.reshape(shape))


def load(path: Path | str, entries: int | None = None, arithmetic: Arithmetic | str = Arithmetic.FLOAT32) -> Network:
    """Raises `InputError` or `UnsupportedError` where the file cannot be used. entries: as for `load_model`.
    arithmetic: in which proofs hold."""
    kind = parse_arithmetic(arithmetic)
    file = read_model(path)
    model = load_model(file, entries)
    return _opened(model, file, kind)


def _opened(model: Model, file: ModelFile, arithmetic: Arithmetic) -> Network:
    return prepared(model, opened(file, model.graph, threads()), arithmetic)


def prepared(model: Model, runtime: Runtime, arithmetic: Arithmetic = Arithmetic.FLOAT32) -> Network:
    """Raises `UnsupportedError` where the two do not agree on a few points between 0 and 1, or a little beyond."""
    engine = Engine(model.graph, model.params, arithmetic=arithmetic)
    network = Network(model.graph, engine, runtime, model.metadata)
    for low, high in _BOXES:
        network.check(*(np.full((1, *model.graph.input_shape), end) for end in (low, high)))
    return network
