"""Flips and crops keep every image an image of the same size, and are drawn anew from the generator given."""

import numpy as np
import pytest
import torch

from glscert.trainer import resolve
from glscert.trainer.augmentation import MODES, check_augmentable, flip_and_crop
from glscert.trainer.setup import prepare
from glscert.verifier.errors import InputError


@pytest.mark.parametrize("pad", [2, 4])
@pytest.mark.parametrize("mode", MODES)
def test_each_image_is_one_of_its_own_crops(mode, pad):
    x = torch.arange(2 * 3 * 6 * 7, dtype=torch.float32).reshape(2, 3, 6, 7).repeat(60, 1, 1, 1) + 1
    y = flip_and_crop(x, torch.Generator().manual_seed(0), pad=pad, mode=mode)
    seen, margins = set(), [(0, 0), (pad, pad), (pad, pad)]
    for before, after in zip(x.numpy(), y.numpy(), strict=True):
        crops = {}
        for mirrored in (False, True):
            image = before[:, :, ::-1] if mirrored else before
            padded = np.pad(image, margins, mode="edge" if mode == "edge" else "constant")
            for top in range(2 * pad + 1):
                for left in range(2 * pad + 1):
                    crops[mirrored, top, left] = padded[:, top : top + 6, left : left + 7]
        matches = [key for key, crop in crops.items() if np.array_equal(crop, after)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20 and {key[0] for key in seen} == {False, True}
    assert {key[1] for key in seen} == set(range(2 * pad + 1)) == {key[2] for key in seen}


def test_the_generator_decides():
    x = torch.rand(8, 3, 6, 6)
    draws = [flip_and_crop(x, torch.Generator().manual_seed(seed), pad=2, mode="zeros") for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_every_step_draws_anew_from_the_seed():
    chosen = torch.arange(32)
    first, again = (prepare(resolve({"augment": True, "seed": 1}), None) for _ in range(2))
    plain = prepare(resolve({"seed": 1}), None)
    assert torch.equal(first.train_images(chosen, 7), again.train_images(chosen, 7))
    assert not torch.equal(first.train_images(chosen, 7), first.train_images(chosen, 8))
    assert torch.equal(plain.train_images(chosen, 7), plain.train_x[chosen])


def test_defaults_are_the_papers():
    cifar, tiny = (resolve({"dataset": dataset}) for dataset in ("cifar10", "tinyimagenet"))
    assert (cifar.augment, cifar.crop_pad, cifar.crop_mode) == (True, 2, "zeros")
    assert (tiny.augment, tiny.crop_pad, tiny.init, tiny.eps) == (True, 4, "kaiming", 1 / 255)
    with pytest.raises(InputError, match="known: zeros, edge"):
        resolve({"crop_mode": "reflect"})


def test_what_cannot_be_augmented():
    with pytest.raises(InputError, match="flips and crops images"):
        check_augmentable((3,), "zeros", (0.0,), (1.0,))
    with pytest.raises(InputError, match='take "edge"'):
        check_augmentable((1, 4, 4), "zeros", (0.5,), (1.0,))
    check_augmentable((1, 4, 4), "edge", (0.5,), (1.0,))
