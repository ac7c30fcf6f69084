"""Certified training: bounds from `glscert.verifier.bounds`, gradients from `methods`, a run folder on disk.

    config = resolve({"dataset": "digits", "method": "rgs", "eps": 0.1})
    train(Path("runs/first"), config, report=lambda news: None)

`resolve` layers a configuration over the data set's defaults; `train` starts a run, `resume` goes on after a stop,
bit for bit. Nothing here prints, reads the environment or touches global settings.
"""

from glscert.verifier.toml_file import read_toml as read_toml

from .checkpoint import model_folder as model_folder
from .checkpoint import newest_run as newest_run
from .checkpoint import read_config as read_config
from .config import TrainConfig as TrainConfig
from .config import resolve as resolve
from .loop import resume as resume
from .loop import train as train
from .methods import METHODS as METHODS
from .module import train_module as train_module
from .reports import EpochReport as EpochReport
from .reports import Report as Report
from .reports import StepReport as StepReport
from .setup import load_test as load_test
from .trained import load_trained as load_trained
