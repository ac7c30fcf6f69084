"""A run's network as it stands, with the images it was made for: what is measured after training starts here."""

from pathlib import Path

from glscert.verifier.errors import InputError

from .checkpoint import load, read_config
from .evaluation import Params
from .setup import Setup, prepare


def load_trained(run: Path, data_dir: Path | None = None) -> tuple[Setup, Params]:
    """Setup and parameters of a run's newest checkpoint, on the device of its configuration.

    Raises InputError: no run there, no checkpoint yet, a damaged one, no data, no such device.
    """
    config = read_config(run)
    setup = prepare(config, data_dir)
    state = load(run, setup.net.parameters)
    if state is None:
        raise InputError(f"there is no checkpoint in {run} yet; go on with glscli train --resume --run {run.name}.")
    return setup, {name: value.to(setup.device) for name, value in state.params.items()}
