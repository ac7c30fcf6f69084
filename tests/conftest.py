"""Options and fixtures for every test."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--networks", type=int, default=40, help="random networks whose decisions are compared with an enumeration"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`network_seed`: one test for each of `--networks`."""
    if "network_seed" in metafunc.fixturenames:
        metafunc.parametrize("network_seed", range(metafunc.config.getoption("networks")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data (data sets, benchmark networks) beside the repository; skips where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the shared data folder {folder.name}/ does not lie beside the repository")
    return folder
