"""One frozen record of every choice a run makes; defaults per data set, then a TOML file, then the command line.

Defaults are the paper's (App. E) with the authors' published scripts where the paper is silent; lengths are stated as
fractions of the schedule, so that --epochs shortens all of it alike.
"""

from collections.abc import Collection, Mapping
from math import ceil, isinf
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.bounds import resolve_options as resolve_relaxation
from glscert.verifier.errors import InputError

from .architectures import MODULE, NETS, SOURCES
from .augmentation import MODES
from .defaults import DEFAULTS, RECIPE, RECIPES
from .initialisation import INITIALISATIONS
from .methods import METHODS, resolve_options
from .own_data import OWN, TENSORS, own_values

NAMES: dict[str, Collection[str]] = {
    "dataset": (*SOURCES, OWN, TENSORS),
    "net": (*NETS, MODULE),
    "method": METHODS,
    "relaxation": RELAXATIONS,
    "warmup_relaxation": RELAXATIONS,
    "eval_relaxation": RELAXATIONS,
    "init": INITIALISATIONS,
    "crop_mode": MODES,
    "keep": ("last", "best"),
}


class TrainConfig(BaseModel):
    """Everything that decides the trained weights, and how often a run saves and reports."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    data: str | None = None  # a user's own .npz or .csv in place of a data set
    label: str | None = None  # the column of a .csv that holds the labels: its name, first or last
    test_data: str | None = None  # its test inputs; None: `test_share` of the rows, chosen by the seed
    test_share: float = Field(0.2, gt=0, lt=1)
    low: tuple[float | None, ...] = (0.0,)  # of the valid range: one number, or one per entry; None: no end
    high: tuple[float | None, ...] = (1.0,)
    normalise: bool = True  # own data, inside the network: by the training rows' mean and standard deviation
    net: str
    hidden: tuple[int, ...] | None = Field(None, min_length=1)  # widths of mlp's layers
    method: str = "rgs"
    options: dict[str, Any] = Field(default={}, validate_default=True)  # the method's own
    relaxation: str = "deeppoly"
    relaxation_options: dict[str, Any] = Field(default={}, validate_default=True)  # the relaxation's own
    warmup_relaxation: str | None = None  # in the warm-up, while eps grows; None: relaxation
    eps: float = Field(0.1, ge=0)
    eps_columns: tuple[float, ...] | None = None  # of each entry of an input, row-major; the largest is eps
    seed: int = Field(0, ge=0)
    restarts: int = Field(1, ge=1, le=100)  # candidates that train the warm-up, of which the best goes on
    revive: float = Field(0.0, ge=0, le=1)  # of the schedule, until which idle channels are revived each epoch
    keep: str = "last"  # the weights of the last epoch, or of the best on the training images held out
    held_out: float = Field(0.0, ge=0, lt=1)  # share of the training images that are not trained on
    start: str | None = None  # a run, or a folder with a network of the same shape, whose weights to start from

    epochs: int = Field(70, ge=1)
    batch: int = Field(256, ge=1)
    # The paper's App. E says 5e-5; every published script of the authors runs 5e-4, and so does this.
    lr: float = Field(5e-4, gt=0)
    lr_decay: float = Field(0.2, gt=0, le=1)
    milestones: tuple[float, ...] = (50 / 70, 60 / 70)  # of the schedule, where lr and RGS's sigma decay
    anneal: bool = True  # eps grows in the warm-up; False: full from the first step
    anneal_start: float = Field(0.0, ge=0, le=1)  # of the schedule: eps is 0 before,
    anneal_end: float = Field(20 / 70, ge=0, le=1)  # and full after
    warmup_end: float = Field(0.0, ge=0, le=1)  # the warm-up goes on until here at full eps, if beyond anneal_end
    init: str = "fast"
    regulariser: bool = True  # in the warm-up
    fast_reg: float = Field(0.5, ge=0)  # its weight
    l1: float = Field(0.0, ge=0)
    robust_weight: float = Field(1.0, ge=0, le=1)
    grad_clip: float = Field(10.0, gt=0)
    augment: bool = False  # flips and crops
    crop_pad: int = Field(2, ge=0)  # pixels put around an image before it is cropped to its size,
    crop_mode: str = "zeros"  # which are 0 as in the paper, or as its "edge" is in the authors' code

    chunk: int | None = Field(None, ge=1)  # images per bound evaluation; None: by the memory these take
    members: int | None = Field(None, ge=1)  # of a population at a time, for threads and actors; None: by device
    memory_budget: float | None = Field(None, gt=0)  # MiB a thread may take for a part; fewer images, members if less
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

    @field_validator("relaxation_options")
    @classmethod
    def _relaxation_options(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        try:
            return dict(resolve_relaxation(info.data["relaxation"], value)) if "relaxation" in info.data else value
        except InputError as error:
            raise PydanticCustomError(
                "relaxation_options", "cannot be used: {why}", {"why": str(error).rstrip(".")}
            ) from None

    @field_validator("low", "high", mode="before")
    @classmethod
    def _ends(cls, value: Any) -> Any:
        ends = value if isinstance(value, list | tuple) else [value]
        return tuple(None if isinstance(end, float) and isinf(end) else end for end in ends)

    @field_validator("hidden")
    @classmethod
    def _widths(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and min(value) < 1:
            raise PydanticCustomError("widths", "must be positive widths")
        return value

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= milestone <= 1 for milestone in value):
            raise PydanticCustomError("fraction", "must be fractions of the schedule, between 0 and 1")
        return value

    @model_validator(mode="after")
    def _ramp(self) -> "TrainConfig":
        if self.anneal_end < self.anneal_start:
            raise PydanticCustomError(
                "ramp",
                "anneal_end = {end} must not lie before anneal_start = {start}; give both",
                {"end": self.anneal_end, "start": self.anneal_start},
            )
        if self.warmup_relaxation is not None and not self.warmup_epochs:
            raise PydanticCustomError(
                "warmup",
                "warmup_relaxation has no warm-up to be used in: let eps grow, with anneal = true and an anneal_end "
                "above 0, or leave it out",
            )
        if self.restarts > 1 and (self.start or self.net == MODULE or not self.warmup_epochs):
            raise PydanticCustomError(
                "restarts",
                "restarts = {restarts} compares warm-ups from random weights, and here {lack}; leave it out",
                {
                    "restarts": self.restarts,
                    "lack": "there is no warm-up" if not self.warmup_epochs else "the weights to start from are given",
                },
            )
        if self.keep == "best" and not self.held_out:
            raise PydanticCustomError("keep", "keep = best compares epochs on held_out images; give it, such as 0.1")
        return self

    @model_validator(mode="after")
    def _region(self) -> "TrainConfig":
        if (self.data is None) == (self.dataset == OWN):
            raise PydanticCustomError("data", "data names the file that dataset = own is read from")
        if self.eps_columns is not None and (min(self.eps_columns) < 0 or max(self.eps_columns) != self.eps):
            raise PydanticCustomError("radii", "radii of entries must not be negative; write them as a list, eps = […]")
        ends = (*self.low, *self.high)
        widest = max((end for end in self.high if end is not None), default=0.0) - min(
            (end for end in self.low if end is not None), default=0.0
        )
        if None not in ends and self.eps > widest:
            raise PydanticCustomError(
                "radius",
                "eps = {eps} is more than the range of the inputs is wide ({widest}); give both in the inputs' units",
                {"eps": self.eps, "widest": widest},
            )
        return self

    @property
    def relaxations(self) -> tuple[str, ...]:
        """Those of the training loss, the one after the warm-up first."""
        return tuple(dict.fromkeys(name for name in (self.relaxation, self.warmup_relaxation) if name))

    @property
    def warmup_epochs(self) -> int:
        """Whole epochs that hold the steps before `anneal_end`, those of a candidate."""
        return ceil(round(self.anneal_end * self.epochs, 9)) if self.anneal else 0

    @property
    def total_epochs(self) -> int:
        """Those of the schedule, and the warm-ups of the other candidates."""
        return self.epochs + (self.restarts - 1) * self.warmup_epochs


SHARE_HELD_OUT = 0.1  # where the best epoch is to be kept


def resolve(*layers: Mapping[str, Any], shape: tuple[int, ...] | None = None) -> TrainConfig:
    """The configuration from `layers`, later ones winning, over the defaults of method, net and data set (digits).

    In a layer eps may be a list, one radius per entry of an input [*shape], and `eps_file` name a file of them.
    Raises InputError: values out of range, unknown names, all of them in one message; unusable files.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        for name, rival in (("eps", "eps_file"), ("eps_file", "eps")):  # a later layer wins over either
            if name in layer:
                given.pop(rival, None)
        given.update(_merged(given, layer))
    if not given.get("data"):
        given.setdefault("dataset", "digits")
    if isinstance(given.get("eps"), list | tuple) and len(given["eps"]) == 1:
        (given["eps"],) = given["eps"]
    given |= own_values(given, shape)
    given.pop("eps_file", None)
    dataset = str(given["dataset"])
    values = DEFAULTS.get(dataset, {"net": "cnn3"}) | given
    own = _by_method(dataset, values) if "method" in given else RECIPE | RECIPES.get(dataset, {})
    values = _merged(values | own, given)
    try:
        return TrainConfig(**_staged(values, given))
    except ValidationError as error:
        method = METHODS.get(str(_given_or_default(values, "method")))
        known = method.options.model_fields if method else {}
        raise InputError("; ".join(_sentence(detail, known) for detail in error.errors()) + ".") from None


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with what `over` says; of the method's options, one by one."""
    both = {**under, **over}
    if isinstance(under.get("options"), dict) and isinstance(over.get("options"), dict):
        both["options"] = under["options"] | over["options"]
    return both


def _by_method(dataset: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The method's own defaults, where method and eps are such that it can have some."""
    method, eps = (_given_or_default(values, name) for name in ("method", "eps"))
    known = isinstance(method, str) and method in METHODS and isinstance(eps, int | float)
    return dict(METHODS[method].defaults(dataset, eps)) if known else {}


def _staged(values: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the defaults that depend on others: weights that are started from need no warm-up.

    Defaults for the warm-up alone are left out where there is none, or nothing to choose.
    """
    started = values.get("start") is not None
    if started:
        values = {"anneal": False, "regulariser": False, **values}
    no_ramp = values.get("anneal") is False or _given_or_default(values, "anneal_end") == 0
    unused = {"warmup_relaxation", "warmup_end", "revive"} if no_ramp else set()
    if no_ramp or started or values.get("net") == MODULE:
        unused.add("restarts")
    if values.get("keep") == "best":
        values = {"held_out": SHARE_HELD_OUT, **values}
    return {name: value for name, value in values.items() if name in given or name not in unused}


def _given_or_default(values: Mapping[str, Any], name: str) -> Any:
    return values.get(name, TrainConfig.model_fields[name].default)


def _sentence(detail: ErrorDetails, options: Collection[str]) -> str:
    """What is wrong with a value; `options` are those of the method."""
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = options if where.startswith("options.") else TrainConfig.model_fields
        return f"{where} is not an option (known: {', '.join(known) or 'none'})"
    message = detail["msg"].replace("Input should be", "must be").replace("Input", "it")
    return f"{where} = {detail['input']!r} {message}" if where else message
