"""Standalone verification of ONNX networks.

    from glscert.verifier import load, robustness, verify
    answer = verify(load("model.onnx"), "property.vnnlib", timeout=60)

docs/python.md has an example from end to end. Nothing heavy is imported before it is needed, and never torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Answer as Answer
    from .answer import Verdict as Verdict
    from .answer import Witness as Witness
    from .api import robustness as robustness
    from .api import verify as verify
    from .network import Network as Network
    from .network import load as load
    from .spec import Clause as Clause
    from .spec import Query as Query
    from .spec import Row as Row

_HOMES = {
    "Answer": "answer",
    "Clause": "spec",
    "Network": "network",
    "Query": "spec",
    "Row": "spec",
    "Verdict": "answer",
    "Witness": "answer",
    "load": "network",
    "robustness": "api",
    "verify": "api",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
