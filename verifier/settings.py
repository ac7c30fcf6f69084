"""What is asked of a verification run."""

from dataclasses import dataclass
from math import isfinite, isnan

from .errors import InputError


@dataclass(frozen=True)
class Settings:
    """eps: radius of the l∞ ball in the input's units; low, high: the valid range it is intersected with.

    timeout: seconds of search per input, of the work that all inputs share. memory: bytes for coefficients. seed: the
    attack's. Raises InputError where a value is out of its range.
    """

    eps: float
    low: float = 0.0
    high: float = 1.0
    timeout: float = 60.0
    memory: int = 256 * 2**20
    seed: int = 0

    def __post_init__(self) -> None:
        if not isfinite(self.eps) or self.eps < 0:
            raise InputError(f"eps = {self.eps:g} must be finite and not negative.")
        if isnan(self.low) or isnan(self.high) or not self.low < self.high:
            raise InputError(f"the input range {self.low:g}, {self.high:g} is empty; give its lower end first.")
        if not isfinite(self.timeout) or self.timeout < 0:
            raise InputError(f"timeout = {self.timeout:g} must be finite and not negative.")
