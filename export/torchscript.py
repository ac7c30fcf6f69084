"""Canonical graph -> TorchScript, for the runtimes that still want it (libtorch, older servers)."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from glscert.verifier.graph import Graph

from .module import Network, example

_METADATA = "glscli.json"


def torchscript_bytes(graph: Graph, params: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The traced network, batch free; `metadata` travels in the extra file `glscli.json`."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)  # upstream recommends torch.export, which is there as well
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(Network(graph, params).eval(), example(graph, params))
        torch.jit.save(traced, buffer, _extra_files={_METADATA: json.dumps(dict(metadata), sort_keys=True)})
    return _without_debug_records(buffer.getvalue())


def open_torchscript(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file at `path` as a function x [B, *v] -> logits [B, K], run by torch.jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.load(str(path))

    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    return run


def _without_debug_records(archive: bytes) -> bytes:
    """The same archive without the records that name the source files of the machine that exported."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            if not name.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(name), old.read(name))  # ZipInfo's own date is 1980, always
    return buffer.getvalue()
