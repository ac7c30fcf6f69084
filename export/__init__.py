"""Checkpoint -> artifact: ONNX (the certified one), TorchScript, torch.export; checked in its own runtime first."""

from .artifact import FORMATS as FORMATS
from .artifact import ExportReport as ExportReport
from .artifact import export_model as export_model
from .parity import ParityError as ParityError
