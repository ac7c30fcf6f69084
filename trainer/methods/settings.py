"""The settings that certified training is compared in: a data set, with a small and a large eps for its images.

What the authors' benchmark library (Mao et al., 2024) tuned per setting, for a CNN7, stands in each method's file; the
paper tuned anew per network and does not list what it found.
"""

from collections.abc import Mapping
from typing import Any

# Of the methods that train with IBP's bounds: the test accuracy after each epoch comes from tighter ones.
BY_IBP: Mapping[str, Any] = {"relaxation": "ibp", "eval_relaxation": "deeppoly"}

LARGE_EPS = {"mnist": 0.2, "cifar10": 5 / 255}  # above this eps is large

# By data set: a method's options for a small and for a large eps, or for any.
Tuned = Mapping[str, tuple[Mapping[str, Any], ...]]


def tuned(dataset: str, eps: float, options: Tuned) -> dict[str, Any]:
    """The options of this setting; none for data not listed."""
    if dataset not in options:
        return {}
    return dict(options[dataset][eps > LARGE_EPS.get(dataset, eps)])
