"""The demo's picture: rare verdicts are shown, and a broken write leaves nothing behind."""

import numpy as np
import pytest

from glscert.cli.picture import Shown, choose, draw


def test_every_verdict_that_occurs_is_shown():
    verdicts = ["verified"] * 50 + ["falsified", "falsified", "unknown"]
    chosen = choose(verdicts, 6)
    assert [verdicts[i] for i in chosen] == ["verified"] * 3 + ["falsified"] * 2 + ["unknown"]


def test_fewer_images_than_places():
    assert choose(["verified"], 6) == [0]
    assert choose([], 6) == []


def test_the_picture_is_a_png(tmp_path):
    image = np.random.default_rng(0).random((1, 8, 8))
    shown = [Shown(image, 3, "verified"), Shown(image, 5, "falsified", 1 - image, 8), Shown(image, 1, "unknown")]
    draw(tmp_path / "verdicts.png", shown, "three")
    assert (tmp_path / "verdicts.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts.png"]


def test_a_picture_that_cannot_be_written_is_an_error_with_the_path(tmp_path):
    with pytest.raises(OSError, match="missing"):
        draw(tmp_path / "missing" / "verdicts.png", [Shown(np.zeros((1, 8, 8)), 3, "verified")], "one")
