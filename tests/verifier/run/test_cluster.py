"""Parts on a Ray cluster of two, in spite of processes that die."""

from pathlib import Path

import pytest

import shared_work
from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.run.cluster import _joined
from glscert.verifier.run.jobs import Jobs, spread

ray = pytest.importorskip("ray")
ALL = sorted((2 * part + half, part**2) for part in range(7) for half in (0, 1))
HERE = Jobs(2, "local")


def test_parts_are_done_once_whatever_dies(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(shared_work.__file__).parent))
    with _joined("local", 2):
        assert sorted(spread(shared_work.steady, None, range(7), HERE)) == ALL
        assert list(spread(shared_work.steady, None, [], HERE)) == []
        assert sorted(spread(shared_work.fragile, tmp_path, range(7), HERE)) == ALL
        assert (tmp_path / "killed").exists()
        with pytest.raises(GlscertError, match="a part of the work was lost on the Ray cluster"):
            list(spread(shared_work.fragile, None, range(7), HERE))
        with pytest.raises(ray.exceptions.RayTaskError, match="a fault of ours"):
            list(spread(shared_work.faulty, None, range(7), HERE))
        with pytest.raises(InputError, match="part 2 cannot be used") as caught:
            list(spread(shared_work.refusing, None, range(7), HERE))
        assert caught.value.excerpt == "\n    here"
        assert ray.is_initialized()  # who was in a cluster before stays in it
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ("127.0.0.1:1", "127.0.0.1:99999"))
def test_a_cluster_that_is_not_there(address):
    with pytest.raises(InputError, match=f"cannot reach a Ray cluster at {address}: .*`ray start --head`"):
        list(spread(shared_work.steady, None, range(7), Jobs(2, address)))
