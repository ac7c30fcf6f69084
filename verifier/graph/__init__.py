"""ONNX file -> frozen `Graph` + numpy `params`. Never imports torch."""

from .bundle import read_bundle as read_bundle
from .bundle import write_bundle as write_bundle
from .ir import Graph as Graph
from .ir import Node as Node
from .load import load_model as load_model
from .model import METADATA_KEYS as METADATA_KEYS
from .model import METADATA_PREFIX as METADATA_PREFIX
from .model import Model as Model
from .shapes import infer_shapes as infer_shapes
