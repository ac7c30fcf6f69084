"""The compiled program of a network (c/fused.h), and its call."""

import ctypes
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor

from glscert.verifier.engine import compiled
from glscert.verifier.ops.compiled import HEADERS, enabled

from .network import Network
from .source import source

IBP, SUBSTITUTED = 1, 2
# Of each relaxation: what the boxes before the ReLUs come from, and what the margins' bounds come from.
RELAXATIONS = {
    "ibp": (IBP, IBP),
    "crown-ibp": (IBP, SUBSTITUTED),
    "deeppoly": (SUBSTITUTED, SUBSTITUTED),
    "deeppoly-ibp": (IBP | SUBSTITUTED, IBP | SUBSTITUTED),
}
STATISTICS = 9
# Vectors that a call may work in, for every thread: 256 MiB at most. Where boxes are intervals and do not stay in the
# cache, torch's products are faster.
MOST_VECTORS = {IBP: 1 << 17, SUBSTITUTED: 1 << 22, IBP | SUBSTITUTED: 1 << 22}
_lock = Lock()


class Work(NamedTuple):
    """What to bound: box [B, entries] twice, labels [B], parameters [P, n] in layer order, and how.

    every_box: whether the statistics of all ReLUs count, not only the rows.
    """

    lower: Tensor
    upper: Tensor
    labels: Tensor
    parameters: Tensor
    relaxation: str
    every_box: bool

    def members(self) -> "list[Work]":
        """The same of each member alone."""
        return [self._replace(parameters=member) for member in self.parameters.split(1)]


class Sums(NamedTuple):
    """Sums over the images, float64: cross-entropy [P], images proved [P], the regulariser's [P, ReLUs, 9].

    boxes [P, n]: of the neurons, which spare a gradient that follows to find them again; n = 0: not kept.
    """

    loss: Tensor
    proved: Tensor
    statistics: Tensor
    boxes: Tensor


class _Record(ctypes.Structure):
    """`struct call` of c/fused.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("lower", "upper", "labels", "parameters")),
        *((name, ctypes.c_int64) for name in ("images", "members", "boxes", "rows", "every")),
        *((name, ctypes.c_void_p) for name in ("sums", "statistics")),
        ("weight", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("slopes", "gradient", "kept", "scratch")),
    ]


class Program:
    """A loaded program. Its calls let other threads run meanwhile."""

    def __init__(self, loaded: ctypes.CDLL, network: Network) -> None:
        self.network = network
        self._run: Any = loaded.run
        self._run.restype = None
        loaded.bytes.restype = ctypes.c_long
        self._bytes: int = loaded.bytes()
        loaded.kept.restype, loaded.kept.argtypes = ctypes.c_long, (ctypes.c_int64,)
        self._kept: Any = loaded.kept

    def sums(self, work: Work, *, keep: bool) -> Sums:
        """Over the images, for each member. keep: the boxes too, where they took more than intervals."""
        substituted = RELAXATIONS[work.relaxation][0] & SUBSTITUTED
        size = self._kept(len(work.labels)) if keep and substituted else 0
        return self._call(work, None, None, torch.empty(len(work.parameters), size))

    def gradient(self, work: Work, weight: float, slopes: Tensor | None, boxes: Tensor) -> tuple[Sums, Tensor]:
        """With that [n] of a single member, float64, of weight * loss + slopes [ReLUs, 9] . statistics.

        boxes [1, n]: those of `sums`; with n = 0 they are found.
        """
        gradient = torch.zeros(self.network.size, dtype=torch.float64)
        return self._call(work, gradient, slopes, boxes, weight), gradient

    def _call(
        self, work: Work, gradient: Tensor | None, slopes: Tensor | None, boxes: Tensor, weight: float = 1.0
    ) -> Sums:
        lower, upper, labels, parameters = (part.contiguous() for part in work[:4])
        members, relus = len(parameters), len(self.network.layers) - 1
        totals = torch.zeros(members, 2, dtype=torch.float64)
        statistics = torch.zeros(members, relus, STATISTICS, dtype=torch.float64)
        slopes = None if slopes is None else slopes.contiguous()
        scratch = torch.empty(self._bytes + 64, dtype=torch.uint8)
        record = _Record(
            *(part.data_ptr() for part in (lower, upper, labels, parameters)),
            len(labels),
            members,
            *RELAXATIONS[work.relaxation],
            int(work.every_box),
            totals.data_ptr(),
            statistics.data_ptr() if work.every_box else None,
            weight,
            *(None if part is None else part.data_ptr() for part in (slopes, gradient)),
            boxes.data_ptr() if boxes.numel() else None,
            scratch.data_ptr() + -scratch.data_ptr() % 64,
        )
        self._run(ctypes.byref(record))
        return Sums(totals[:, 0], totals[:, 1], statistics, boxes)


def program(network: Network, relaxation: str) -> Program | None:
    """Compiled and loaded, once; None: it is not for this relaxation or so large a network, or nothing compiles it."""
    if relaxation not in RELAXATIONS or network.vectors > MOST_VECTORS[RELAXATIONS[relaxation][0]] or not enabled():
        return None
    with _lock:  # a second thread waits for the first one's program
        return _load(network)


@cache
def _load(network: Network) -> Program | None:
    loaded = compiled.library(source(network), HEADERS, Path(__file__).with_name("c"))
    return None if loaded is None else Program(loaded, network)
