"""A model file ready for the search: its graph, its weights in two precisions, and onnxruntime on the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .graph import Graph, Model, load_model
from .graph.read import read_model
from .ops import Params
from .replay import Runtime


@dataclass(frozen=True)
class Network:
    """The loaded graph with its weights in float64 and float32, onnxruntime on the file; `metadata` as in `Model`."""

    graph: Graph
    exact: Params
    single: Params
    runtime: Runtime
    metadata: Mapping[str, str]

    def scores(self, x: np.ndarray) -> np.ndarray:
        """One score per class [N, K] as onnxruntime gives them for x [N, *v]; of an ArgMax 1 for its answer, else 0."""
        given = self.runtime.logits(x)
        if self.graph.ending != "ArgMax":
            return given
        return np.eye(*self.graph.output_shape, dtype=np.float32)[given[:, 0].astype(np.int64)]


def load(path: Path | str) -> Network:
    """Raises `InputError` or `UnsupportedError` where the file cannot be used."""
    file = read_model(path)
    return prepared(load_model(file), Runtime(file))


def prepared(model: Model, runtime: Runtime) -> Network:
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in model.params.items()}
    single = {name: value.float() for name, value in exact.items()}
    return Network(model.graph, exact, single, runtime, model.metadata)
