"""The functions of arrays under the names that torch has: numpy's, and what numpy lacks or calls otherwise.

What it may round is within a few units of the last place. scipy is loaded by the first network that needs it.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy import asarray as asarray
from numpy import exp as exp
from numpy import expm1 as expm1
from numpy import finfo as finfo
from numpy import full_like as full_like
from numpy import log as log
from numpy import log1p as log1p
from numpy import maximum as maximum
from numpy import minimum as minimum
from numpy import ones_like as ones_like
from numpy import sqrt as sqrt
from numpy import stack as stack
from numpy import tanh as tanh
from numpy import where as where
from numpy import zeros_like as zeros_like

Array = np.ndarray[Any, Any]

no_grad = nullcontext


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def clamp(z: Array, min: float | None = None, max: float | None = None) -> Array:
    return np.clip(z, min, max)


def detach(z: Array) -> Array:
    return z


def sigmoid(z: Array) -> Array:
    with np.errstate(over="ignore"):  # of exp, where the sigmoid is 0
        return 1 / (1 + np.exp(-z))


def erf(z: Array) -> Array:
    from scipy import special

    return special.erf(z)


def erfc(z: Array) -> Array:
    from scipy import special

    return special.erfc(z)
