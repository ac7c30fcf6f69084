"""The functions of arrays that numpy lacks or calls otherwise than torch: `numpy` itself, and these."""

from typing import Any

import numpy as np
from numpy import finfo as finfo
from numpy import full_like as full_like
from numpy import ones_like as ones_like
from numpy import where as where
from numpy import zeros_like as zeros_like

Array = np.ndarray[Any, Any]


def relu(z: Array) -> Array:
    return np.maximum(z, 0)
