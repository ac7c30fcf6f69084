"""A network in a folder: `graph.json` (graph, metadata, digest of the weights) and `params.safetensors`."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GlscertError, InputError, UnsupportedError
from .ir import Graph, Node
from .model import Model
from .shapes import infer_shapes

GRAPH_FILE = "graph.json"
PARAMS_FILE = "params.safetensors"
_FORMAT = "glscert-graph"
_VERSION = 1
_MAX_BYTES = 512 * 2**20


def write_bundle(
    folder: Path | str, graph: Graph, params: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes the two files into `folder` (made where absent), each beside first and then put in place.

    `graph.json` goes last and names the digest of the weights, so that a pair torn by a crash is refused, not mixed.
    Raises `InputError` without safetensors, `GlscertError` where the folder cannot be written.
    """
    save, _ = _safetensors()
    names = dict.fromkeys(name for node in graph.nodes for name in node.params)
    weights = save({name: np.ascontiguousarray(params[name]) for name in names})
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "metadata": dict(sorted(metadata.items())),
        "params_sha256": hashlib.sha256(weights).hexdigest(),
        "graph": _graph_to_json(graph),
    }
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / PARAMS_FILE, weights)
        _replace(folder / GRAPH_FILE, text.encode())
    except OSError as error:
        raise GlscertError(f"could not write the network into {folder}: {error.strerror}.") from error


def read_bundle(folder: Path | str) -> Model:
    """The network that `write_bundle` wrote. Raises `InputError` where it is absent, damaged or inconsistent."""
    _, load = _safetensors()
    folder = Path(folder)
    text, weights = _read(folder / GRAPH_FILE), _read(folder / PARAMS_FILE)
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT or document["version"] != _VERSION:
            raise InputError(
                f"{folder / GRAPH_FILE} is format {document['format']!r} version {document['version']!r}; supported: "
                f"{_FORMAT!r} version {_VERSION}. Use the glscert that wrote it."
            )
        if document["params_sha256"] != hashlib.sha256(weights).hexdigest():
            raise InputError(
                f"{folder}: {PARAMS_FILE} is not the one that {GRAPH_FILE} was written with. Train again, "
                "or take both files from one run."
            )
        graph = _graph_from_json(document["graph"])
        metadata = {str(key): str(value) for key, value in document["metadata"].items()}
        params = load(weights)
        shapes = infer_shapes(graph.input, graph.input_shape, graph.nodes, params)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedError) as error:
        raise InputError(f"{folder} holds no readable network: {error}") from error
    if shapes != dict(graph.shapes) or graph.output not in shapes:
        raise InputError(f"{folder / GRAPH_FILE} states shapes that its operators do not give. Write it again.")
    for name, array in params.items():
        if not np.isfinite(array).all():
            raise InputError(f"{folder}: the weight {name!r} holds NaN or infinity. Take an earlier checkpoint.")
    return Model(graph, params, metadata)


def _graph_to_json(graph: Graph) -> dict[str, Any]:
    return {
        "input": graph.input,
        "output": graph.output,
        "shapes": {name: list(shape) for name, shape in graph.shapes.items()},
        "nodes": [
            {
                "op": node.op,
                "name": node.name,
                "inputs": list(node.inputs),
                "output": node.output,
                "params": list(node.params),
                "attrs": dict(node.attrs),
            }
            for node in graph.nodes
        ],
    }


def _graph_from_json(data: dict[str, Any]) -> Graph:
    nodes = tuple(
        Node(
            op=str(node["op"]),
            name=str(node["name"]),
            inputs=tuple(map(str, node["inputs"])),
            output=str(node["output"]),
            params=tuple(map(str, node["params"])),
            attrs={key: tuple(map(int, v)) if isinstance(v, list) else int(v) for key, v in node["attrs"].items()},
        )
        for node in data["nodes"]
    )
    shapes = {str(name): tuple(map(int, shape)) for name, shape in data["shapes"].items()}
    return Graph(input=str(data["input"]), output=str(data["output"]), nodes=nodes, shapes=shapes)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than {_MAX_BYTES} bytes, the most a network's file may hold.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}. Give the folder that a training run wrote.") from error


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _safetensors() -> tuple[Any, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load, save
    except ImportError as error:
        raise InputError("safetensors is not installed; checkpoints need it: pip install 'glscert[train]'") from error

    def checked_load(data: bytes) -> dict[str, np.ndarray]:
        try:
            return {name: array.copy() for name, array in load(data).items()}  # copies may be written to
        except SafetensorError as error:
            raise InputError(f"{PARAMS_FILE} is damaged: {error}") from error

    return save, checked_load
