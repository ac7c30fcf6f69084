"""Table 7 of the paper, counted and evaluated."""

import numpy as np
import pytest
import torch

from glscert.trainer.architectures import NETS, SOURCES, Source, build
from glscert.trainer.initialisation import fast
from glscert.verifier.errors import InputError
from glscert.verifier.graph import infer_shapes
from glscert.verifier.ops import evaluate

SIZES = {  # recipes: the paper states 166K and 281K for CNN5, 1.25M for CNN5-L on CIFAR-10
    ("cnn3-tiny", "mnist"): 1_108,
    ("cnn3", "mnist"): 5_170,
    ("cnn5", "mnist"): 165_850,
    ("cnn5-l", "mnist"): 793_930,
    ("cnn5", "cifar10"): 281_338,
    ("cnn5-l", "cifar10"): 1_255_882,
    ("cnn5", "tinyimagenet"): 1_165_240,  # 1.17M
}


@pytest.mark.parametrize(("net", "dataset"), SIZES)
def test_number_of_weights(net, dataset):
    assert build(net, SOURCES[dataset]).size == SIZES[net, dataset]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("dataset", SOURCES)
def test_graph_shapes_are_those_its_operators_give(net, dataset):
    try:
        net = build(net, SOURCES[dataset])
    except InputError as error:
        assert dataset == "digits" and "too deep" in str(error)
        return
    arrays = {name: np.zeros(shape, np.float32) for name, shape in net.parameters.items()} | net.constants
    assert infer_shapes("input", net.graph.input_shape, net.graph.nodes, arrays) == dict(net.graph.shapes)
    assert net.graph.output_shape == (SOURCES[dataset].classes,)


def test_normalisation_is_inside_the_graph_and_is_no_parameter():
    net = build("cnn3", SOURCES["cifar10"])
    assert [node.op for node in net.graph.nodes[:3]] == ["Sub", "Div", "Conv"]
    assert set(net.constants) == {"mean", "std"} and not set(net.constants) & set(net.parameters)
    params = fast(net, torch.Generator().manual_seed(0))
    constants = {name: torch.from_numpy(value) for name, value in net.constants.items()}
    x = torch.rand(4, 3, 32, 32)
    plain = build("cnn3", Source((3, 32, 32)))
    mean, std = (torch.tensor(SOURCES["cifar10"][i]).reshape(3, 1, 1) for i in (2, 3))
    torch.testing.assert_close(
        evaluate(net.graph, params | constants, x), evaluate(plain.graph, params, (x - mean) / std)
    )


def test_unknown_net_names_the_known_ones():
    with pytest.raises(InputError, match="cnn3-tiny"):
        build("resnet", SOURCES["mnist"])
