"""What an ONNX file asks for, before it is read as a network: its operators, and each that stands in the way."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import GlscertError, UnsupportedError
from .declared import readings
from .ending import endings
from .functions import inlined
from .load import from_proto
from .model import Model
from .proto import checked_opset, live_nodes, node_name
from .read import read_model
from .translate import shortcoming


@dataclass(frozen=True)
class Survey:
    """`problems`: what is not supported, each with its node and the remedy; without any there is a `model`."""

    opset: int | None
    operators: Mapping[str, int]
    problems: tuple[str, ...]
    model: Model | None


def survey(path: Path | str) -> Survey:
    """Raises `InputError` where the file is absent, damaged or contradicts itself, `UnsupportedError` where its weights
    lie elsewhere."""
    proto = read_model(path).model
    problems: list[str] = []
    opset, live, ends = None, list(proto.graph.node), []
    try:
        opset, proto = checked_opset(proto), inlined(proto)
        first, *_ = readings(proto.graph)
        live = live_nodes(proto.graph, [port.name for port in first.inputs], first.outputs)
        ends = [node.output[0] for node in endings(live, first.outputs)]
    except UnsupportedError as error:
        problems.append(str(error))
    except GlscertError as error:
        raise type(error)(f"{path}: {error}") from error
    for node in live:
        missing = shortcoming(node.op_type, node.domain, node_name(node))
        if missing is not None and not (node.output and node.output[0] in ends):
            problems.append(missing)
    model = None
    if not problems:
        try:
            model = from_proto(proto)
        except UnsupportedError as error:  # a shape or an attribute of a supported operator
            problems.append(str(error))
        except GlscertError as error:
            raise type(error)(f"{path}: {error}") from error
    return Survey(opset, Counter(node.op_type for node in live), tuple(problems), model)
