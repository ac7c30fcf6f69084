"""Law: what the compiled program of back-substitution says is what torch says, also of gradients and populations."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import fast
from glscert.verifier.bounds import RELAXATIONS, ROWS_ONLY, linf_box, margin_spec
from glscert.verifier.ops import compiled


@pytest.fixture(autouse=True)
def _compiler() -> Iterator[None]:
    compiled.enable()
    if not compiled.enabled():
        pytest.skip("no C compiler on this machine")
    yield


def _bounds(net: str, dataset: str, relaxation: str, dtype: torch.dtype, table=RELAXATIONS):  # type: ignore[no-untyped-def]
    source = SOURCES[dataset]
    architecture, generator = build(net, source), torch.Generator().manual_seed(0)
    params = {name: value.to(dtype) for name, value in fast(architecture, generator).items()}
    constants = {name: torch.from_numpy(value).to(dtype) for name, value in architecture.constants.items()}
    x = torch.rand(3, *source.shape, dtype=dtype, generator=generator)
    box = linf_box(x, 0.1, 0.0, 1.0)
    spec = margin_spec(torch.tensor([1, 0, 7]), source.classes, dtype)

    def lower(own: dict[str, Tensor]) -> Tensor:
        return table[relaxation](architecture.graph, {**constants, **own}, box, spec).lower

    return lower, params


_NAMES = ("_SubstituteBackward", "_SubstituteGeneratedBackward")  # alone, and under torch.func


def _substitutions(bound: Tensor) -> list[Any]:
    """The compiled substitutions that a bound comes from, as autograd keeps them."""
    seen: set[Any] = set()
    waiting = [bound.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [below for below, _ in node.next_functions]
    return [node for node in seen if type(node).__name__ in _NAMES]


@pytest.mark.parametrize("dtype, within", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
@pytest.mark.parametrize("relaxation", ["crown-ibp", "deeppoly", "alpha-crown"])
@pytest.mark.parametrize("net, dataset", [("digits", "digits"), ("cnn3-tiny", "mnist"), ("cnn3", "cifar10")])
def test_values_and_gradients_are_those_of_torch(
    net: str, dataset: str, relaxation: str, dtype: torch.dtype, within: float
) -> None:
    lower, params = _bounds(net, dataset, relaxation, dtype)
    results = []
    for on in (True, False):
        compiled.enable(on)
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        bound = lower(leaves)
        assert bool(_substitutions(bound)) == on
        weights = torch.linspace(0.1, 1, bound.numel(), dtype=dtype).reshape(bound.shape)
        results.append([bound.detach(), *torch.autograd.grad((bound * weights).sum(), list(leaves.values()))])
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).abs().max() <= within * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("relaxation", ["crown-ibp", "deeppoly", "alpha-crown"])
def test_population_equals_its_members(relaxation: str) -> None:
    lower, params = _bounds("cnn3-tiny", "mnist", relaxation, torch.float64)
    generator = torch.Generator().manual_seed(1)
    stacked = {
        name: value + 0.05 * torch.randn(4, *value.shape, dtype=value.dtype, generator=generator)
        for name, value in params.items()
    }

    def value_and_gradient(own: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        def squared(leaves: dict[str, Tensor]) -> Tensor:
            bound = lower(leaves)
            assert bool(_substitutions(bound)) == compiled.enabled()
            return bound.square().sum()

        return torch.func.grad_and_value(squared)(own)

    gradients, values = torch.func.vmap(value_and_gradient)(stacked)
    for k in range(4):
        compiled.enable(k % 2 == 0)  # the members compiled, and by torch
        gradient, value = value_and_gradient({name: part[k] for name, part in stacked.items()})
        torch.testing.assert_close(values[k], value, rtol=1e-11, atol=1e-11)
        for name, part in gradient.items():
            torch.testing.assert_close(gradients[name][k], part, rtol=1e-9, atol=1e-11)


def _carried(node: Any) -> int:
    """Rows that a compiled substitution takes all the way."""
    if node.some:
        return int(node.saved_tensors[-1].sum())
    coef, radius, *lines = node.saved_tensors
    height, width = node.chain.window.positions if node.chain.window else (1, 1)
    return max(value.shape[1] for value in (coef, radius, *lines)) * height * width * coef.shape[3] * coef.shape[5]


def test_rows_alone_are_the_same_rows() -> None:
    """Dense neurons are given up once known to be stable: same bounds, same gradient, fewer rows carried down."""
    results, carried = [], []
    for table in (RELAXATIONS, ROWS_ONLY):
        lower, params = _bounds("cnn5", "mnist", "deeppoly", torch.float64, table)
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        bound = lower(leaves)
        carried.append(sum(map(_carried, _substitutions(bound))))
        results.append([bound.detach(), *torch.autograd.grad(bound.square().sum(), list(leaves.values()))])
    for all_boxes, rows_only in zip(*results, strict=True):
        torch.testing.assert_close(rows_only, all_boxes, rtol=1e-11, atol=1e-11)
    assert carried[0] - carried[1] > 3 * 512  # of 3 images, more than half of the 1,024 rows


def test_rows_alone_of_a_population() -> None:
    lower, params = _bounds("cnn5", "mnist", "deeppoly", torch.float64, ROWS_ONLY)
    stacked = {name: torch.stack([value, 0.9 * value]) for name, value in params.items()}
    together = torch.func.vmap(lower)(stacked)
    for k in range(2):
        alone = lower({name: value[k] for name, value in stacked.items()})
        torch.testing.assert_close(together[k], alone, rtol=1e-11, atol=1e-11)
