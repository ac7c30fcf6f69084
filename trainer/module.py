"""Training a user's own `nn.Module`: its graph is captured, trained by the same loop, and its weights written back.

metrics = train_module(net, x, y, eps=0.1, run="runs/mine", method="rgs", relaxation="deeppoly", epochs=20)
export_model(model_folder(Path("runs/mine")), "model.onnx", "onnx", x[:256].numpy())
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glscert.verifier.errors import InputError
from glscert.verifier.inputs import Inputs
from glscert.verifier.region import Region

from . import checkpoint, loop
from .architectures import MODULE, Architecture, Source
from .capture import capture, start, write_back
from .config import TrainConfig, resolve
from .own_data import TENSORS, Splits, train_and_test
from .reports import EpochReport, Report, StepReport
from .setup import assemble, load_splits

Array = Tensor | np.ndarray


def _silent(news: StepReport | EpochReport) -> None:
    pass


def train_module(
    module: nn.Module,
    x: Array | None = None,
    y: Array | None = None,
    *,
    eps: float | Sequence[float],
    run: Path | str,
    test: tuple[Array, Array] | None = None,
    resume: bool = False,
    report: Report = _silent,
    data_dir: Path | None = None,
    workers: int = 1,
    **values: Any,
) -> dict[str, Any]:
    """Trains `module` from its present weights, which it has changed in the end; returns the last epoch's metrics.

    x [N, *v] in the range `low` to `high` (0 to 1 unless stated) and labels y [N]; or none of them and dataset="mnist",
    or data="rows.csv", among the `values`, which are those of `TrainConfig`. eps: one radius, or one for each entry of
    an input. Without `test` a fifth of the rows is held out. `run`: a new folder for checkpoints, or with `resume` one
    to go on with. The module's forward takes one tensor [B, *v] and gives scores [B, K]; normalise inside it.

    Raises UnsupportedError: an operator that the bounds do not know, named with its place in the module; InputError:
    data that do not fit, nothing to train, a folder that holds a run; GlscertError: the loss is not finite.
    """
    run = Path(run)
    given = {"net": MODULE, "eps": list(eps) if isinstance(eps, Sequence) else eps, **values}
    if x is None or y is None:
        config = resolve(given)
        splits = load_splits(config, data_dir)
    else:
        train = _inputs(x, y, "x and y")
        config = resolve({"dataset": TENSORS}, given, shape=train.x.shape[1:])
        parts = train_and_test(train, test and _inputs(*test, "test"), "x", share=config.test_share, seed=config.seed)
        splits = Splits(Source(train.x.shape[1:]), parts[0].x, parts[0].y, parts[1].x, parts[1].y)
    net = capture(module, splits.source.shape)
    setup = assemble(config, net, _labelled_for(net, splits), start(module, net))
    if resume:
        _check_same(checkpoint.read_config(run), config, run)
        metrics = loop.resume(run, report=report, workers=workers, setup=setup)
    else:
        metrics = loop.train(run, config, report=report, workers=workers, setup=setup)
    trained = checkpoint.load(run, net.parameters)
    if trained is not None:
        write_back(module, trained.params)
    return metrics


def _inputs(x: Array, y: Array, what: str) -> Inputs:
    images, labels = (torch.as_tensor(part).detach().cpu() for part in (x, y))
    if labels.dim() != 1 or len(images) != len(labels) or images.dim() < 2:
        raise InputError(
            f"{what} have shapes {list(images.shape)} and {list(labels.shape)}; give inputs [N, *v] and one label each."
        )
    if labels.is_floating_point() or not images.is_floating_point() or not bool(torch.isfinite(images).all()):
        raise InputError(f"{what} are {images.dtype} and {labels.dtype}; give finite floats and integer labels.")
    return Inputs(images.float().numpy(), labels.long().numpy(), Region())


def _labelled_for(net: Architecture, splits: Splits) -> Splits:
    """The splits with as many classes as the network scores."""
    (classes,) = net.graph.output_shape
    labels = np.concatenate([splits.train_y, splits.test_y])
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}; the module gives {classes} scores, for classes 0 to "
            f"{classes - 1}."
        )
    return splits._replace(source=splits.source._replace(classes=classes))


def _check_same(kept: TrainConfig, config: TrainConfig, run: Path) -> None:
    differs = [name for name in TrainConfig.model_fields if getattr(kept, name) != getattr(config, name)]
    if differs:
        old, new = getattr(kept, differs[0]), getattr(config, differs[0])
        raise InputError(
            f"{run} was started with {differs[0]} = {old!r}, not {new!r}; resume it with the same choices."
        )
