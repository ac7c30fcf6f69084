"""What a run holds from start to end: network, objective, schedule, and the images on the device."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from glscert.verifier.columns import as_text as as_metadata
from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError
from glscert.verifier.files import replace_file
from glscert.verifier.ops import OPERATORS, Nonlinear
from glscert.verifier.region import Entries, check_inside

from .architectures import MODULE, SOURCES, Architecture, build
from .augmentation import check_augmentable, flip_and_crop
from .chunks import images_at_once, images_kept
from .config import TrainConfig
from .device import usable_device
from .distributed import ALONE, Group
from .evaluation import Params
from .fused import recognised
from .initialisation import INITIALISATIONS
from .methods import METHODS
from .objective import Objective
from .own_data import HELD_OUT, OWN, TENSORS, Splits, load_own
from .perturbation import as_text, stated_region
from .pixels import Pixels
from .plan import Plan
from .randomness import stream


class Bounding(NamedTuple):
    """The loss by a relaxation; bounds are taken of `chunk` images at a time, kept for the gradient of `kept`."""

    objective: Objective
    chunk: int
    kept: int


@dataclass(frozen=True)
class Setup:
    """Made by `prepare`. train_x [N, *v], train_y [N], test_x, test_y likewise, on `device`; x[i] is float32."""

    config: TrainConfig
    plan: Plan
    net: Architecture
    objective: Objective
    device: torch.device
    train_x: Tensor | Pixels
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    bounding: dict[str, Bounding]  # by relaxation
    given: Params | None = None  # weights to start from, of a network that a user wrote
    group: Group = ALONE  # the processes that share the work
    columns: tuple[str, ...] | None = None  # names of a table's features
    held: tuple[Tensor | Pixels, Tensor] | None = None  # images and labels that are not trained on

    @property
    def chunk(self) -> int:
        return self.bounding[self.config.relaxation].chunk

    def initial_params(self, candidate: int = 0) -> Params:
        if self.given is not None:
            return self.given
        counters = (candidate,) if candidate else ()
        drawn = INITIALISATIONS[self.config.init](self.net, stream(self.config.seed, "init", *counters))
        return {name: value.to(self.device) for name, value in drawn.items()}

    def train_images(self, chosen: Tensor, step: int) -> Tensor:
        """The images [B, *v] numbered `chosen` [B], augmented if the configuration says so."""
        x, config = self.train_x[chosen], self.config
        if not config.augment:
            return x
        return flip_and_crop(x, stream(config.seed, "augment", step), pad=config.crop_pad, mode=config.crop_mode)

    def accuracies(self, params: Params, pool: Executor) -> dict[str, float]:
        """Natural and certified accuracy of the test images, at the final eps; the certificate is the relaxation's."""
        return self._accuracies(params, self.test_x, self.test_y, pool)

    def held_accuracies(self, params: Params, pool: Executor) -> dict[str, float]:
        """The same of the training images held out, if any are."""
        if self.held is None:
            return {}
        found = self._accuracies(params, *self.held, pool)
        return {f"held_{name}": value for name, value in found.items()}

    def _accuracies(self, params: Params, x: Tensor | Pixels, y: Tensor, pool: Executor) -> dict[str, float]:
        config = self.config

        def count(chunk: tuple[Tensor, Tensor]) -> Tensor:
            with torch.no_grad():
                right = self.objective.scores(params, chunk[0]).argmax(1) == chunk[1]
                parts = self.objective.robust_loss(params, *chunk, config.eps, config.eval_relaxation, every_box=False)
                assert parts.proved is not None
                return torch.stack([right.sum(), parts.proved.long()])

        parts = [slice(first, first + self.chunk) for first in range(0, len(y), self.chunk)]
        chunks = [(x[part], y[part]) for part in self.group.share(parts)]
        counts = list(pool.map(count, chunks))
        none = torch.zeros(2, dtype=torch.int64, device=self.device)
        natural, certified = self.group.add({"counts": sum(counts, none)})["counts"].tolist()
        return {"natural": natural / len(y), "certified": certified / len(y)}

    @property
    def metadata(self) -> dict[str, str]:
        """What an exported network says of itself."""
        config = self.config
        known = {"dataset": config.dataset} if config.dataset in SOURCES else {}
        return {
            **known,
            **as_text(stated_region(config, self.net.graph.input_shape)),
            "classes": str(self.objective.classes),
            "method": config.method,
            "relaxation": config.relaxation,
            "norm": "linf",
            "net": config.net,
            "seed": str(config.seed),
            **as_metadata(self.columns),
        }


def prepare(config: TrainConfig, data_dir: Path | None) -> Setup:
    """Loads the data and builds the network. Raises InputError: no data, no such device, radii that do not fit."""
    if config.net == MODULE:
        raise InputError("the run trains a module of your own; go on with train_module(…, resume=True) in Python.")
    splits = load_splits(config, data_dir)
    return assemble(config, build(config.net, splits.source, config.hidden), splits)


def load_splits(config: TrainConfig, data_dir: Path | None) -> Splits:
    """The images or rows that a configuration trains and tests on. Raises InputError: no data, or unusable."""
    if config.dataset == TENSORS:
        raise InputError("the run was given its inputs in Python, and they are not kept; give inputs with --data.")
    if config.data is not None:
        how: dict[str, Any] = {"share": config.test_share, "seed": config.seed, "normalise": config.normalise}
        return load_own(config.data, config.test_data, label=config.label, **how)
    train = load_dataset(config.dataset, "train", data_dir, as_bytes=True)
    test = load_dataset(config.dataset, "test", data_dir)
    return Splits(SOURCES[config.dataset], train.x, train.y, test.x, test.y)


def load_test(config: TrainConfig, data_dir: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The test images or rows [N, *v] in float32, and labels [N], of a configuration. Raises InputError: no data."""
    if config.dataset in (OWN, TENSORS):
        splits = load_splits(config, data_dir)
        return splits.test_x, splits.test_y
    test = load_dataset(config.dataset, "test", data_dir)
    return test.x, test.y


def keep_held_out(run: Path, config: TrainConfig) -> None:
    """Writes the test rows that were split off a user's own data, with their region, to `test.npz` in the run."""
    if config.data is None or config.test_data is not None:
        return
    splits = load_splits(config, None)
    eps, low, high = stated_region(config, splits.source.shape).complete()
    test_x, test_y = splits.test_x, splits.test_y
    replace_file(run / HELD_OUT, lambda file: np.savez(file, x=test_x, y=test_y, eps=eps, low=low, high=high))


def assemble(config: TrainConfig, net: Architecture, splits: Splits, given: Params | None = None) -> Setup:
    """The network and the data on the device; training starts from the weights `given`, or else from random ones.

    Raises InputError: no such device, radii or inputs that do not fit, a network that the method cannot train.
    """
    device = usable_device(config.device)
    if config.augment:
        check_augmentable(splits.source.shape, config.crop_mode, config.low, config.high)
    for relaxation in config.relaxations:
        METHODS[config.method].verify(net.graph, relaxation, config.options)
    region = stated_region(config, splits.source.shape)
    eps, low, high = region.complete()
    if splits.train_x.dtype != np.uint8:
        check_inside(splits.train_x, low, high, "the training inputs")
    check_inside(splits.test_x, low, high, "the test inputs")
    scale = eps / config.eps if isinstance(eps, np.ndarray) and config.eps > 0 else 1.0
    objective = Objective(
        net.graph,
        {name: torch.from_numpy(value).to(device) for name, value in net.constants.items()},
        config.relaxation,
        splits.source.classes,
        config.robust_weight,
        scale=_on(device, scale),
        low=_on(device, low),
        high=_on(device, high),
        relaxation_options=config.relaxation_options,
        network=recognised(net.graph, net.parameters, net.constants),
    )
    (train_x, train_y), held = _train_and_held_out(splits, config, device)
    test_x, test_y = (
        torch.from_numpy(part[: config.eval_images]).to(device) for part in (splits.test_x, splits.test_y)
    )
    nonlinear = any(isinstance(OPERATORS[node.op], Nonlinear) for node in net.graph.nodes)
    plan = Plan(config, len(train_x), nonlinear)
    return Setup(
        config,
        plan,
        net,
        objective,
        device,
        train_x,
        train_y,
        test_x,
        test_y,
        {name: _bounding(name, objective, net, config, device) for name in config.relaxations},
        given,
        columns=splits.columns,
        held=held,
    )


def _train_and_held_out(splits: Splits, config: TrainConfig, device: torch.device) -> list[Any]:
    """The training images and labels, and those held out (None: none are); a function of the seed."""
    count = len(splits.train_y)
    held = round(config.held_out * count)
    if config.held_out > 0 and not 0 < held < count:
        raise InputError(
            f"held_out = {config.held_out} of {count} training inputs leaves {held} of them to compare by."
        )
    order = torch.randperm(count, generator=stream(config.seed, "held_out")).numpy()
    found: list[Any] = []
    for chosen in (np.sort(order[held:]), np.sort(order[:held])) if held else (slice(None), None):
        if chosen is None:
            found.append(None)
            continue
        x, y = (torch.from_numpy(part[chosen]).to(device) for part in (splits.train_x, splits.train_y))
        found.append((Pixels(x) if x.dtype == torch.uint8 else x, y))
    return found


def _bounding(
    name: str, objective: Objective, net: Architecture, config: TrainConfig, device: torch.device
) -> Bounding:
    if name != config.relaxation:
        objective = replace(objective, relaxation=name, relaxation_options={})
    kept = images_kept(objective, net, device)
    return Bounding(objective, config.chunk or images_at_once(kept, config.batch, device), kept)


def _on(device: torch.device, entries: Entries) -> float | Tensor:
    return torch.tensor(entries, dtype=torch.float32, device=device) if isinstance(entries, np.ndarray) else entries
