"""What `glscli train` does where nothing else is said: by data set, and the recipe where no method is named."""

from typing import Any

from .own_data import OWN, TENSORS

_LONG = {  # schedule of CIFAR-10 and TinyImageNet: eps is 0 in the first epoch, and grows over 80
    "epochs": 160,
    "batch": 128,
    "milestones": (120 / 160, 140 / 160),
    "anneal_start": 1 / 160,
    "anneal_end": 81 / 160,
    "augment": True,
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"net": "digits", "epochs": 30, "batch": 64, "lr": 0.02},
    "mnist": {"net": "cnn3"},
    OWN: {"net": "mlp", "batch": 64, "lr": 0.005},
    TENSORS: {"batch": 64, "lr": 0.005},
    "cifar10": {"net": "cnn3", "eps": 2 / 255, **_LONG},
    # fast_reg is that of the authors' scripts; all else App. E
    "tinyimagenet": {"net": "cnn5", "eps": 1 / 255, "crop_pad": 4, "init": "kaiming", "fast_reg": 0.2, **_LONG},
}

# What is trained where no method is named: the best certified accuracy we know how to get, see docs/reproduction.md. A
# candidate warms up by IBP, cheap and smooth; then tight bounds, mixed with an attack's loss, as complete verification
# proves more than any bound does. A method that is named has its published schedule instead.
RECIPE: dict[str, Any] = {
    "method": "mtl-ibp",
    "options": {"alpha": 0.4, "warmup_alpha": 1.0, "steps": 4, "restarts": 1},
    "relaxation": "deeppoly-ibp",
    "warmup_relaxation": "ibp",
    "restarts": 5,
    "revive": 0.5,
    "anneal_end": 0.3,
    "warmup_end": 0.55,
    "milestones": (0.8, 0.92),
}

RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 40, "lr": 0.01},
    "mnist": {"epochs": 40, "lr": 0.005},
    OWN: {"epochs": 40},
    TENSORS: {"epochs": 40},
}
