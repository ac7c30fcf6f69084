"""Adam and clipping against PyTorch's own."""

import torch

from glscert.trainer.optimiser import adam, clip


def test_adam_is_torch_adam():
    generator = torch.Generator().manual_seed(0)
    params = {"a": torch.randn(3, 4, generator=generator), "b": torch.randn(5, generator=generator)}
    theirs = [torch.nn.Parameter(value.clone()) for value in params.values()]
    reference = torch.optim.Adam(theirs, lr=0.01)
    moments = {}
    for step in range(20):
        gradient = {name: torch.randn(value.shape, generator=generator) for name, value in params.items()}
        for parameter, g in zip(theirs, gradient.values(), strict=True):
            parameter.grad = g.clone()
        reference.step()
        params, moments = adam(params, moments, gradient, step, 0.01)
    for ours, parameter in zip(params.values(), theirs, strict=True):
        torch.testing.assert_close(ours, parameter.detach(), rtol=1e-5, atol=1e-6)
    assert set(moments) == {"exp_avg/a", "exp_avg/b", "exp_avg_sq/a", "exp_avg_sq/b"}


def test_clip_scales_the_whole_gradient():
    gradient = {"a": torch.full((3,), 3.0), "b": torch.full((1,), 3.0)}
    clipped, norm = clip(gradient, 1.5)
    assert norm == 6
    torch.testing.assert_close(clipped["a"], torch.full((3,), 0.75))
    assert clip(gradient, 10)[0] is gradient
