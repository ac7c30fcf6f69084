"""A model file ready for the search: its graph, its weights in two precisions, and onnxruntime on the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from .graph import Graph, Model, load_model
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


def load(path: Path | str) -> Network:
    """Raises `InputError` or `UnsupportedError` where the file cannot be used."""
    return prepared(load_model(path), Runtime(Path(path)))


def prepared(model: Model, runtime: Runtime) -> Network:
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in model.params.items()}
    single = {name: value.float() for name, value in exact.items()}
    return Network(model.graph, exact, single, runtime, model.metadata)
