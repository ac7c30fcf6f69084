"""Two of evotorch's actors on Ray take the very steps that one process takes, and nothing of theirs reaches stdout."""

import pytest

from glscert.trainer import model_folder, train
from glscert.trainer.cost import MEASURED
from glscert.verifier.errors import GlscertError, InputError


def ignore(news):
    pass


def weights(run):
    return (model_folder(run) / "params.safetensors").read_bytes()


def test_two_actors_take_the_steps_of_one_process(tmp_path, small, capfd):
    stages = {"relaxation": "deeppoly", "warmup_relaxation": "ibp"}
    options = {"population": 16, "control": "rgs"}
    config = small(method="pgpe", **stages, batch=720, options=options, members=4)
    alone = train(tmp_path / "one", config, report=ignore)
    capfd.readouterr()
    shared = train(tmp_path / "two", config, report=ignore, actors=2)
    assert capfd.readouterr().out == ""
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert {**alone, **dict.fromkeys(MEASURED)} == {**shared, **dict.fromkeys(MEASURED)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "rgs"}, "rgs has none; use --method pgpe"),
        ({"method": "pgpe", "options": {"population": 8}, "members": 8}, "8 is evaluated 8 at a time. Ask for fewer"),
    ],
)
def test_actors_that_would_have_nothing_to_do(tmp_path, small, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        train(tmp_path / "run", small(**changes), report=ignore, actors=2)
    assert not (tmp_path / "run").exists()


def test_a_lost_actor_is_a_sentence():
    from ray.exceptions import ActorDiedError

    from glscert.trainer.ray_cluster import failures

    with pytest.raises(GlscertError, match="an actor was lost: The actor died.*go on with --resume"), failures():
        raise ActorDiedError
