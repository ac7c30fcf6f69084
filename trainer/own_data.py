"""A user's own labelled inputs: what their file says for the configuration, and how they are split.

Without a file of test inputs a share of the rows is held out, chosen by the seed; the run's folder keeps those rows as
`test.npz`, for `glscli verify`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from glscert.verifier.errors import InputError, listed
from glscert.verifier.inputs import Inputs, read_inputs
from glscert.verifier.region import Entries, Region, read_region, region

from .architectures import SOURCES, Source
from .randomness import stream

OWN = "own"  # the name of the data set where `data` names a file
TENSORS = "tensors"  # and where it was given in Python
HELD_OUT = "test.npz"
SMALLEST_STD = 1e-6  # of the largest magnitude in a channel: what varies less is a constant


class Splits(NamedTuple):
    """Images or rows [N, *v] and labels [N] for training and testing; the names of a table's features."""

    source: Source
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    columns: tuple[str, ...] | None = None


def own_values(given: Mapping[str, Any], shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """What the files named in `given` (data, eps_file) and a list of eps there say, as values of a configuration.

    shape: *v of the inputs, where neither a file nor a known data set has them.

    Raises InputError: unusable files, or a radius that is stated twice or not at all.
    """
    eps, file, values, stated = given.get("eps"), given.get("eps_file"), {}, Region()
    columns: tuple[str, ...] | None = None
    listed = isinstance(eps, list | tuple)
    dataset = str(given.get("dataset"))
    if shape is None:
        shape = SOURCES[dataset].shape if dataset in SOURCES else ()
    if given.get("data"):
        if given.get("dataset", OWN) != OWN:
            raise InputError(f"data and dataset = {given['dataset']!r} both say what to train on; leave one out.")
        inputs = _read(given["data"], label=given.get("label"))
        shape, stated, columns = inputs.x.shape[1:], inputs.region, inputs.columns
        net = given.get("net", "cnn3" if len(shape) == 3 else "mlp")
        values = {"dataset": OWN, "net": net, "label": inputs.label}
        _check_layout(given["data"], shape, net)
    elif given.get("label") is not None:
        raise InputError(f"label = {given['label']!r} names a column of a .csv file; give that as data.")
    elif given.get("test_data") is not None:
        raise InputError(f"test_data = {given['test_data']!r} goes with data of your own; give that too.")
    if file:
        if eps is not None:
            raise InputError("eps and eps_file both state the radius; leave one out.")
        stated = read_region(Path(file), shape, columns).over(stated)
    if listed:
        try:
            numbers = np.array(eps, np.float64)
        except (TypeError, ValueError):
            raise InputError(f"eps = {eps!r} must be a number, or a list of them.") from None
        stated = region({"eps": numbers}, shape, "eps").over(stated)
    if stated.eps is not None and (eps is None or listed):
        values |= {"eps": float(np.max(stated.eps)), "eps_columns": _columns(stated.eps)}
    elif eps is None and given.get("data"):
        raise InputError(
            f"no radius is stated for {given['data']}; give --eps, --eps-file, or an array eps in the file."
        )
    if stated.low is not None and stated.high is not None and not {"low", "high"} & given.keys():
        values |= {"low": tuple(np.ravel(stated.low).tolist()), "high": tuple(np.ravel(stated.high).tolist())}
    return values


def _check_layout(data: object, shape: tuple[int, ...], net: object) -> None:
    if len(shape) == 3 and net != "mlp" and shape[2] in (1, 3, 4) and shape[2] < min(shape[:2]):
        raise InputError(
            f"{data}: the images have shape {list(shape)}, channels last it seems; the network {net} takes [C, H, W]: "
            "turn them by x.transpose(0, 3, 1, 2)."
        )


def _columns(eps: Entries) -> tuple[float, ...] | None:
    return tuple(np.ravel(eps).tolist()) if np.ndim(eps) else None


def load_own(
    data: str, test_data: str | None, *, share: float, seed: int, normalise: bool, label: str | None = None
) -> Splits:
    """The rows of `data`, and of `test_data` or else a random `share` of the rows held out. label: of tables, the
    column of labels.

    Raises InputError: files that are unusable or do not fit each other, too few rows, labels that are not 0 … K - 1.
    """
    train = _read(data, label=label)
    test = None if test_data is None else _read(test_data, train.x.shape[1:], label=train.label)
    if test is not None and test.columns and train.columns and test.columns != train.columns:
        raise InputError(
            f"the features of {test_data} are {listed(test.columns)}, those of {data} {listed(train.columns)}; give "
            "both the same columns in the same order."
        )
    columns = train.columns
    train, test = train_and_test(train, test, data, share=share, seed=seed)
    classes = 1 + int(max(train.y.max(), test.y.max()))
    if min(train.y.min(), test.y.min()) < 0 or len(np.unique(train.y)) != classes or classes < 2:
        raise InputError(
            f"the labels of {data} are {listed(np.unique(train.y))}; classes are numbered 0 … K - 1, at least two of "
            "them, each with rows to train on."
        )
    mean, std = _moments(train.x) if normalise else (None, None)
    return Splits(Source(train.x.shape[1:], classes, mean, std), train.x, train.y, test.x, test.y, columns)


def train_and_test(train: Inputs, test: Inputs | None, what: str, *, share: float, seed: int) -> tuple[Inputs, Inputs]:
    """Both of them; without a test set, a random `share` of the training rows. Raises InputError: too few rows."""
    if test is None:
        order = torch.randperm(len(train.y), generator=stream(seed, "split")).numpy()
        held_out = round(share * len(order))
        if not 0 < held_out < len(order):
            raise InputError(f"{what} holds {len(order)} rows, too few to hold out {share:g} of them; give test rows.")
        test, train = (Inputs(train.x[part], train.y[part], train.region) for part in np.split(order, [held_out]))
    if not (len(train.y) and len(test.y)):
        raise InputError(f"{what}: there are no {'test' if len(train.y) else 'training'} inputs.")
    return train, test


def _read(path: str, shape: tuple[int, ...] | None = None, *, label: str | None = None) -> Inputs:
    """label: the column of labels, of a table; classes are counted in its rows."""
    table = Path(path).suffix.lower() == ".csv"
    found = read_inputs(Path(path), shape, label=label if table or shape is None else None)
    if found.x.ndim < 2:
        raise InputError(f"{path}: x has shape {found.x.shape}; give one row of numbers per input, [N, columns].")
    return found._replace(x=found.x.astype(np.float32, copy=False))


def _moments(x: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, or per column of a table; 1 for what does not vary."""
    axes = (0, *range(2, x.ndim))
    mean, std = x.mean(axes, dtype=np.float64), x.std(axes, dtype=np.float64)
    constant = std <= SMALLEST_STD * np.maximum(np.abs(mean), 1e-30)
    return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())
