"""How much memory a computation takes, without a device that would tell."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most bytes that tensors made by `compute` take at one time.

    A function of the shapes alone; scratch space inside an operator is not seen. The collector of cycles rests
    meanwhile, whose moments nobody can foretell.
    """
    counter, collecting = _Counter(), gc.isenabled()
    gc.disable()
    try:
        with counter:
            compute()
    finally:
        if collecting:
            gc.enable()
    return counter.peak


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known: set[int] = set()
        self._given: list[torch.UntypedStorage] = []  # not made here; held, so that none takes the place of another

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                self._given.append(storage)
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage._cdata not in self._known:
                self._count(storage)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)

        def release() -> None:
            self._known.discard(key)
            self.alive -= size

        weakref.finalize(storage, release)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
