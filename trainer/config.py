"""One frozen record of every choice a run makes; defaults per data set, then a TOML file, then the command line.

Defaults are the paper's (App. E) with the authors' published scripts where the paper is silent; lengths are stated as
fractions of the schedule, so that --epochs shortens all of it alike.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.errors import InputError

from .architectures import NETS, SOURCES
from .initialisation import INITIALISATIONS
from .methods import METHODS, resolve_options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES: dict[str, Mapping[str, object]] = {
    "dataset": SOURCES,
    "net": NETS,
    "method": METHODS,
    "relaxation": RELAXATIONS,
    "eval_relaxation": RELAXATIONS,
    "init": INITIALISATIONS,
}


class TrainConfig(BaseModel):
    """Everything that decides the trained weights, and how often a run saves and reports."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    net: str
    method: str = "rgs"
    options: dict[str, Any] = Field(default={}, validate_default=True)  # the method's own
    relaxation: str = "deeppoly"
    eps: float = Field(0.1, ge=0, le=1)
    seed: int = Field(0, ge=0)

    epochs: int = Field(70, ge=1)
    batch: int = Field(256, ge=1)
    # The paper's App. E says 5e-5; every published script of the authors runs 5e-4, and so does this.
    lr: float = Field(5e-4, gt=0)
    lr_decay: float = Field(0.2, gt=0, le=1)
    milestones: tuple[float, ...] = (50 / 70, 60 / 70)  # of the schedule, where lr and RGS's sigma decay
    anneal_start: float = Field(0.0, ge=0, le=1)  # of the schedule: eps is 0 before,
    anneal_end: float = Field(20 / 70, ge=0, le=1)  # and full after
    init: str = "fast"
    fast_reg: float = Field(0.5, ge=0)
    l1: float = Field(0.0, ge=0)
    robust_weight: float = Field(1.0, ge=0, le=1)
    grad_clip: float = Field(10.0, gt=0)
    augment: bool = False

    chunk: int = Field(32, ge=1)  # images per bound evaluation: small enough for the cache
    device: str = "cpu"
    eval_relaxation: str | None = None  # of the test accuracy after each epoch; None: the training's own
    eval_images: int | None = Field(None, ge=1)  # None: the whole test split
    checkpoint_steps: int | None = Field(None, ge=1)  # besides every epoch
    checkpoint_seconds: float = Field(120.0, gt=0)
    log_steps: int = Field(50, ge=1)

    @field_validator(*NAMES)
    @classmethod
    def _known(cls, value: str | None, info: Any) -> str | None:
        table = NAMES[info.field_name]
        if value is not None and value not in table:
            raise PydanticCustomError("name", "is not known (known: {known})", {"known": ", ".join(table)})
        return value

    @field_validator("options")
    @classmethod
    def _options(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        return resolve_options(info.data["method"], value) if "method" in info.data else value

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= milestone <= 1 for milestone in value):
            raise PydanticCustomError("fraction", "must be fractions of the schedule, between 0 and 1")
        return value

    @model_validator(mode="after")
    def _ramp(self) -> "TrainConfig":
        if self.anneal_end < self.anneal_start:
            raise PydanticCustomError("ramp", "anneal_end must not lie before anneal_start")
        return self


DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"net": "digits", "epochs": 30, "batch": 64, "lr": 0.02},
    "mnist": {"net": "cnn3"},
    "cifar10": {
        "net": "cnn3",
        "eps": 2 / 255,
        "epochs": 160,
        "batch": 128,
        "milestones": (120 / 160, 140 / 160),
        "anneal_start": 1 / 160,
        "anneal_end": 81 / 160,
        "augment": True,
    },
}


# Bounds of wide layers take much memory per image.
BY_NET: dict[str, dict[str, Any]] = {"cnn5": {"chunk": 4}, "cnn5-l": {"chunk": 1}}


def resolve(*layers: Mapping[str, Any]) -> TrainConfig:
    """The configuration from `layers`, later ones winning, over the defaults of method, net and data set (digits).

    Raises InputError: values out of range, unknown names; all of them in one message.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        given.update(layer)
    dataset = str(given.setdefault("dataset", "digits"))
    values = DEFAULTS.get(dataset, {"net": "cnn3"}) | given
    method = METHODS.get(str(values.get("method")))
    values = BY_NET.get(str(values["net"]), {}) | values | (dict(method.defaults) if method else {}) | given
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise InputError("; ".join(_sentence(detail) for detail in error.errors()) + ".") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a configuration file. Raises InputError: no such file, or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"there is no configuration file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None


def _sentence(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{where} is not an option (known: {', '.join(TrainConfig.model_fields)})"
    message = detail["msg"].replace("Input should be", "must be").replace("Input", "it")
    return f"{where} = {detail['input']!r} {message}" if where else message
