"""Losses against their formulas."""

import numpy as np
import pytest
import torch

from glscert.trainer.losses import l1_norm, nominal_cross_entropy, robust_cross_entropy

LOWER = torch.tensor(np.random.default_rng(0).normal(size=(7, 9)), dtype=torch.float64)


def test_robust_loss_is_the_cross_entropy_of_zero_and_the_negated_bounds():
    logits = np.concatenate([np.zeros((7, 1)), -LOWER.numpy()], axis=1)
    expected = -np.log(np.exp(logits[:, 0]) / np.exp(logits).sum(1)).sum()
    assert robust_cross_entropy(LOWER).item() == pytest.approx(expected, rel=1e-12)


def test_robust_loss_at_a_point_is_the_nominal_loss():
    scores = torch.randn(5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 9, 4, 4, 1])
    margins = torch.stack([torch.cat([s[t] - s[:t], s[t] - s[t + 1 :]]) for s, t in zip(scores, labels, strict=True)])
    torch.testing.assert_close(robust_cross_entropy(margins), nominal_cross_entropy(scores, labels))


def test_robust_loss_survives_bounds_that_are_far_off():
    lower = torch.tensor([[-1e6, 1e6], [1e6, 1e6]], requires_grad=True)
    loss = robust_cross_entropy(lower)
    loss.backward()
    assert loss.item() == pytest.approx(1e6) and lower.grad.isfinite().all()


def test_l1_leaves_biases_out():
    params = {"w": torch.tensor([[1.0, -2.0]]), "b": torch.tensor([5.0]), "v": torch.tensor([[-3.0]])}
    assert l1_norm(params, ("w", "v")).item() == 6
