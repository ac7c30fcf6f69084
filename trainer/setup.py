"""What a run holds from start to end: network, objective, schedule, and the images on the device."""

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError

from .architectures import SOURCES, Architecture, build
from .augmentation import flip_and_shift
from .config import TrainConfig
from .evaluation import Params
from .initialisation import INITIALISATIONS
from .methods import METHODS
from .objective import Objective
from .plan import Plan
from .randomness import stream


@dataclass(frozen=True)
class Setup:
    """Made by `prepare`. train_x [N, *v], train_y [N], test_x, test_y likewise, on `device`."""

    config: TrainConfig
    plan: Plan
    net: Architecture
    objective: Objective
    device: torch.device
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor

    def initial_params(self) -> Params:
        return INITIALISATIONS[self.config.init](self.net, stream(self.config.seed, "init"))

    def train_images(self, chosen: Tensor, step: int) -> Tensor:
        """The images [B, *v] numbered `chosen` [B], augmented if the configuration says so."""
        x = self.train_x[chosen]
        return flip_and_shift(x, stream(self.config.seed, "augment", step)) if self.config.augment else x

    def accuracies(self, params: Params, pool: Executor) -> dict[str, float]:
        """Natural and certified accuracy of the test images, at the final eps; the certificate is the relaxation's."""
        config = self.config

        def count(chunk: tuple[Tensor, Tensor]) -> Tensor:
            with torch.no_grad():
                right = self.objective.scores(params, chunk[0]).argmax(1) == chunk[1]
                bounds = self.objective.bounds(params, *chunk, config.eps, config.eval_relaxation)
                return torch.stack([right.sum(), (bounds.lower > 0).all(1).sum()])

        chunks = zip(self.test_x.split(config.chunk), self.test_y.split(config.chunk), strict=True)
        natural, certified = torch.stack(list(pool.map(count, chunks))).sum(0).tolist()
        return {"natural": natural / len(self.test_x), "certified": certified / len(self.test_x)}

    @property
    def metadata(self) -> dict[str, str]:
        """What an exported network says of itself."""
        config = self.config
        return {
            "dataset": config.dataset,
            "input_range": "0.0 1.0",
            "classes": str(self.objective.classes),
            "method": config.method,
            "relaxation": config.relaxation,
            "eps": repr(config.eps),
            "norm": "linf",
            "net": config.net,
            "seed": str(config.seed),
        }


def prepare(config: TrainConfig, data_dir: Path | None) -> Setup:
    """Loads the data and builds the network. Raises InputError: no data, no such device, no way to train such a net."""
    device = _device(config.device)
    source = SOURCES[config.dataset]
    net = build(config.net, source)
    METHODS[config.method].verify(net.graph, config.relaxation, config.options)
    constants = {name: torch.from_numpy(value).to(device) for name, value in net.constants.items()}
    objective = Objective(net.graph, constants, config.relaxation, source.classes, config.robust_weight)
    data = {split: load_dataset(config.dataset, split, data_dir) for split in ("train", "test")}
    images = {split: (torch.from_numpy(d.x).to(device), torch.from_numpy(d.y).to(device)) for split, d in data.items()}
    test_x, test_y = (part[: config.eval_images] for part in images["test"])
    plan = Plan(config, len(images["train"][0]))
    return Setup(config, plan, net, objective, device, *images["train"], test_x, test_y)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch's own, one without that device built in
        raise InputError(f"device = {name!r} cannot be used: {str(error).splitlines()[0]}.") from None
    return device
