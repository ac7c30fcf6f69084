"""A bundle gives back what was written, and a damaged one is refused with a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest

from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.graph import Graph, Model, Node, infer_shapes, read_bundle, write_bundle


def small_network() -> Model:
    rng = np.random.default_rng(0)
    params = {
        "mean": np.full((1, 1, 1), 0.5, np.float32),
        "conv.weight": rng.normal(size=(2, 1, 3, 3)).astype(np.float32),
        "conv.bias": rng.normal(size=2).astype(np.float32),
        "fc.weight": rng.normal(size=(3, 18)).astype(np.float32),
    }
    conv = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    nodes = (
        Node("Sub", "centre", ("x",), "c", ("mean",)),
        Node("Conv", "conv", ("c",), "h", ("conv.weight", "conv.bias"), conv),
        Node("Relu", "relu", ("h",), "r"),
        Node("Flatten", "flat", ("r",), "f"),
        Node("Gemm", "fc", ("f",), "y", ("fc.weight",)),
    )
    graph = Graph("x", "y", nodes, infer_shapes("x", (1, 5, 5), nodes, params))
    return Model(graph, params, {"dataset": "digits", "eps": "0.1"})


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    model = small_network()
    write_bundle(tmp_path / "run", *model)
    read = read_bundle(tmp_path / "run")
    assert read.graph == model.graph
    assert read.metadata == model.metadata
    assert read.params.keys() == model.params.keys()
    for name, array in model.params.items():
        np.testing.assert_array_equal(read.params[name], array)
        assert read.params[name].dtype == array.dtype


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(tmp_path / name, *small_network())
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["graph.json", "params.safetensors"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.*No such file"):
        read_bundle(tmp_path / "nowhere")


def test_weights_of_another_run_are_refused(tmp_path: Path) -> None:
    model = small_network()
    write_bundle(tmp_path / "a", *model)
    write_bundle(tmp_path / "b", model.graph, {k: v + 1 for k, v in model.params.items()}, {})
    (tmp_path / "b" / "params.safetensors").replace(tmp_path / "a" / "params.safetensors")
    with pytest.raises(InputError, match="not the one"):
        read_bundle(tmp_path / "a")


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"format": "other", "version": 1}', "\x00"])
def test_a_damaged_graph_is_refused(tmp_path: Path, damage: str) -> None:
    write_bundle(tmp_path, *small_network())
    (tmp_path / "graph.json").write_text(damage)
    with pytest.raises(InputError, match="no readable network|supported"):
        read_bundle(tmp_path)


def test_a_graph_that_lies_about_its_shapes_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path, *small_network())
    document = json.loads((tmp_path / "graph.json").read_text())
    document["graph"]["shapes"]["f"] = [19]
    (tmp_path / "graph.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="shapes"):
        read_bundle(tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path, *small_network())
    path = tmp_path / "params.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError):
        read_bundle(tmp_path)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    model = small_network()
    model.params["conv.bias"][0] = np.nan
    write_bundle(tmp_path, *model)
    with pytest.raises(InputError, match="conv.bias.*NaN"):
        read_bundle(tmp_path)


def test_a_path_through_a_file_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GlscertError, match="could not write"):
        write_bundle(tmp_path / "file" / "run", *small_network())
