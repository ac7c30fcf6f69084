"""What is asked of a verification run."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from .errors import InputError
from .region import Entries, Norm


@dataclass(frozen=True)
class Effort:
    """What a decision may take. timeout: seconds. memory: bytes for coefficients and open subdomains. seed: the
    attack's. threads: None: all cores. proofs: whether answers keep what closed their regions (`answer.proof`). Raises
    InputError where a value is out of its range.
    """

    timeout: float = 60.0
    memory: int = 256 * 2**20
    seed: int = 0
    threads: int | None = None
    proofs: bool = False

    def __post_init__(self) -> None:
        if not isfinite(self.timeout) or self.timeout < 0:
            raise InputError(f"timeout = {self.timeout:g} must be finite and not negative.")
        if self.memory < 2**20:
            raise InputError(f"memory = {self.memory} bytes is too little; give at least a mebibyte.")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads = {self.threads}; give at least 1.")


@dataclass(frozen=True)
class Settings:
    """eps: radius of the ball in the input's units; low, high: the valid range it is intersected with. Each is one
    number, or an array of the input's shape [*v] with one per entry. norm: of the ball.

    timeout: seconds per input, its share of the work after its prediction. memory: bytes for coefficients. seed: the
    attack's. threshold: of a single output that tells two classes apart; None: 0.5 behind a last Sigmoid, else 0.
    tolerance: how far outputs that are numbers may move from what they are at the input; None: they are scores. proofs:
    as in `Effort`. Raises InputError where a value is out of its range.
    """

    eps: Entries
    low: Entries = 0.0
    high: Entries = 1.0
    timeout: float = 60.0
    memory: int = 256 * 2**20
    seed: int = 0
    norm: Norm = Norm.LINF
    threshold: float | None = None
    tolerance: float | None = None
    proofs: bool = False

    def __post_init__(self) -> None:
        for name in ("eps", "low", "high", "timeout", "threshold", "tolerance"):
            _check_numbers(name, getattr(self, name), one=name not in ("eps", "low", "high"))
        if not isinstance(self.norm, Norm):
            raise InputError(f"norm = {self.norm!r} is not known; give one of {', '.join(map(str, Norm))}.")
        if not (np.isfinite(self.eps).all() and np.min(self.eps) >= 0):
            raise InputError(f"eps = {np.min(self.eps):g} must be finite and not negative.")
        if not np.all(np.less(self.low, self.high)):  # NaN too
            raise InputError(
                f"the input range {np.min(self.low):g}, {np.max(self.high):g} is empty; give its lower end first."
            )
        if not isfinite(self.timeout) or self.timeout < 0:
            raise InputError(f"timeout = {self.timeout:g} must be finite and not negative.")
        if self.threshold is not None and not isfinite(self.threshold):
            raise InputError(f"threshold = {self.threshold:g} must be finite.")
        if self.tolerance is not None and not (isfinite(self.tolerance) and self.tolerance > 0):
            raise InputError(f"tolerance = {self.tolerance:g} must be finite and greater than 0.")

    @property
    def effort(self) -> Effort:
        return Effort(self.timeout, self.memory, self.seed, proofs=self.proofs)


def _check_numbers(name: str, value: object, *, one: bool) -> None:
    """Raises InputError where a value is no number, nor several of them in an array where there may be."""
    try:
        array = np.asarray(value)
        fits = (one and value is None and name != "timeout") or (
            array.dtype.kind in "iuf" and array.size > 0 and not (one and array.ndim)
        )
    except ValueError:  # lists of different lengths
        fits = False
    if not fits:
        wanted = "a number" if one else "a number, or an array of them of the input's shape"
        raise InputError(f"{name} = {str(value)[:80]!r} must be {wanted}.")
