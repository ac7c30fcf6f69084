"""Flips and shifts keep every image an image of the same size, and are drawn anew from the generator given."""

import torch

from glscert.trainer.augmentation import SHIFT, flip_and_shift


def test_each_image_is_one_of_its_own_crops():
    x = torch.arange(2 * 3 * 6 * 6, dtype=torch.float32).reshape(2, 3, 6, 6).repeat(20, 1, 1, 1) + 1
    y = flip_and_shift(x, torch.Generator().manual_seed(0))
    seen = set()
    for before, after in zip(x, y, strict=True):
        crops = {}
        for mirrored in (False, True):
            padded = torch.nn.functional.pad(before.flip(2) if mirrored else before, (SHIFT,) * 4)
            for top in range(2 * SHIFT + 1):
                for left in range(2 * SHIFT + 1):
                    crops[mirrored, top, left] = padded[:, top : top + 6, left : left + 6]
        matches = [key for key, crop in crops.items() if torch.equal(crop, after)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20 and {key[0] for key in seen} == {False, True}


def test_the_generator_decides():
    x = torch.rand(8, 3, 6, 6)
    draws = [flip_and_shift(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
