"""ONNX file -> frozen `Graph` + numpy `params`. Never imports torch."""

from .ir import Graph as Graph
from .ir import Node as Node
