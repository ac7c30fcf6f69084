"""Canonical graph -> torch.export program (`.pt2`)."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from glscert.verifier.graph import Graph

from .module import Network, example

_METADATA = "glscli.json"
_LOCAL = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def program_bytes(graph: Graph, params: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The exported program, batch free; `metadata` travels in the extra file `glscli.json`."""
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(
        Network(graph, params).eval(), (example(graph, params),), dynamic_shapes={"x": {0: batch}}
    )
    for node in program.graph.nodes:
        for key in _LOCAL:  # names and lines of source files on the machine that exported
            node.meta.pop(key, None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={_METADATA: json.dumps(dict(metadata), sort_keys=True)})
    return buffer.getvalue()


def open_program(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file at `path` as a function x [B, *v] -> logits [B, K], run by torch.export."""
    network = torch.export.load(path).module()

    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    return run
