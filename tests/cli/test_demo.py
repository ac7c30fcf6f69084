"""The demo from end to end, cut short: one epoch and hardly any search."""

import pytest

from glscert.cli import demo

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_demo_leaves_a_model_a_picture_and_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "TIMEOUT", 0.05)
    for number in (1, 2):  # a second demo keeps the first one's run
        demo.command(out=tmp_path, epochs=1, seed=0)
        printed = capsys.readouterr()
        for column in ("natural", "adversarial", "certified", "unknown", "seconds to verify"):
            assert column in printed.out
        assert "360 test images" in printed.out
        assert "3/3 verifying" in printed.err
        assert (tmp_path / "verdicts.png").read_bytes().startswith(b"\x89PNG")
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"model.onnx", "verdicts.png", *(f"run-{n}" for n in range(1, number + 1))}
