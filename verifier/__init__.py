"""Standalone verification of ONNX networks.

    from glscert.verifier import load, verify
    decision = verify(load("model.onnx"), "property.vnnlib", timeout=60)

docs/python.md has an example from end to end. Nothing heavy is imported before it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import verify as verify
    from .decision import Answer as Answer
    from .decision import Decision as Decision
    from .decision import Witness as Witness
    from .network import Network as Network
    from .network import load as load
    from .spec import Clause as Clause
    from .spec import Query as Query
    from .spec import Row as Row

_HOMES = {
    "Answer": "decision",
    "Clause": "spec",
    "Decision": "decision",
    "Network": "network",
    "Query": "spec",
    "Row": "spec",
    "Witness": "decision",
    "load": "network",
    "verify": "api",
}
__all__ = ["Answer", "Clause", "Decision", "Network", "Query", "Row", "Witness", "load", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
