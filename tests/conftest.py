"""Options and fixtures for every test."""

import os
from pathlib import Path

import pytest

# Each worker has a core: threads of their own would only get in each other's way. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--networks", type=int, default=40, help="random networks whose decisions are compared with an enumeration"
    )
    parser.addoption(
        "--graphs", type=int, default=200, help="random graphs of all operators that are asked what is just not true"
    )
    parser.addoption(
        "--mutations",
        type=int,
        default=500,
        help="changed ONNX files that are to be refused, or read as onnxruntime does",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`network_seed`: one test for each of `--networks`; `graph_seed`: of `--graphs`."""
    for name, option in (("network_seed", "networks"), ("graph_seed", "graphs")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(metafunc.config.getoption(option)))


@pytest.fixture(scope="session")
def every_way(request: pytest.FixtureRequest) -> bool:
    """Whether there is time for every way of closing, as with `--graphs 2000`, or for some of them."""
    return request.config.getoption("graphs") >= 2000


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data (data sets, benchmark networks) beside the repository; skips where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the shared data folder {folder.name}/ does not lie beside the repository")
    return folder
