"""Several processes answer what one does, in spite of those that die; and none is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import shared_work
from glscert.verifier import Verdict, load, robustness
from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.run.jobs import Jobs, cuts, spread
from glscert.verifier.run.labels import robust
from glscert.verifier.run.queries import answered
from glscert.verifier.settings import Effort, Settings
from onnx_models import make, node

ALL = sorted((2 * part + half, part**2) for part in range(7) for half in (0, 1))
posix = pytest.mark.skipif(sys.platform == "win32", reason="the signals are POSIX's")


@pytest.mark.parametrize("count", (2, 20))
def test_every_part_is_done_once(count):
    assert sorted(spread(shared_work.steady, None, range(7), Jobs(count))) == ALL
    assert multiprocessing.active_children() == []


def test_no_parts():
    assert list(spread(shared_work.steady, None, [], Jobs(2))) == []


@posix
def test_a_killed_process_s_part_is_done_again(tmp_path):
    assert sorted(spread(shared_work.fragile, tmp_path, range(7), Jobs(2))) == ALL
    assert (tmp_path / "killed").exists()


@posix
def test_a_part_that_kills_every_process_ends_in_a_sentence():
    found = []
    with pytest.raises(GlscertError, match="ended 3 times on the same part of the work, by signal 9; .*--jobs"):
        found.extend(spread(shared_work.fragile, None, range(7), Jobs(2)))
    assert multiprocessing.active_children() == []


def test_what_is_raised_there_is_raised_here():
    with pytest.raises(InputError, match="part 2 cannot be used") as caught:
        list(spread(shared_work.refusing, None, range(7), Jobs(2)))
    assert caught.value.excerpt == "\n    here"
    with pytest.raises(InputError, match="nothing begins"):
        list(spread(shared_work.never, None, range(7), Jobs(2)))
    with pytest.raises(RuntimeError, match=r"shared_work.py(.|\n)*a fault of ours"):
        list(spread(shared_work.faulty, None, range(7), Jobs(2)))
    assert multiprocessing.active_children() == []


def test_who_stops_asking_ends_the_processes():
    told = spread(shared_work.steady, None, range(1000), Jobs(2))
    next(told)
    told.close()
    assert multiprocessing.active_children() == []


def test_a_script_without_a_guard_ends_in_a_sentence(tmp_path):
    lines = (
        "import sys",
        f"sys.path[:0] = {sys.path!r}",
        "import shared_work",
        "from glscert.verifier.run.jobs import Jobs, spread",
        "list(spread(shared_work.steady, None, range(3), Jobs(2)))",
    )
    (tmp_path / "script.py").write_text("\n".join(lines))
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "a process of its own cannot start. In a script" in done.stderr.splitlines()[-1]


def test_parts_of_few_and_many():
    for count in (0, 1, 16, 17, 100, 128, 1000, 60_000):
        slices = cuts(count)
        assert [i for cut in slices for i in range(count)[cut]] == list(range(count))
        assert all(cut.stop - cut.start <= 64 for cut in slices)
    assert len(cuts(16)) == 1 and len(cuts(128)) == 8


def network(path, inputs):
    rng, sizes, nodes, consts, value = np.random.default_rng(0), (inputs, 16, 16, 3), [], {}, "x"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        nodes.append(node("MatMul", f"{value} w{i}", f"h{i}" if i < 2 else "y"))
        if i < 2:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    path.write_bytes(make(nodes, ("batch", inputs), consts).SerializeToString())
    return load(path)


def same(one, other):
    """But for the seconds."""
    assert (one.verdict, one.reason, one.margin, one.visited) == (
        other.verdict,
        other.reason,
        other.margin,
        other.visited,
    )
    assert (one.witness is None) == (other.witness is None)
    if one.witness is not None:
        assert np.array_equal(one.witness.x, other.witness.x) and np.array_equal(one.witness.y, other.witness.y)


@pytest.mark.parametrize("inputs", (6, 24))
def test_labelled_inputs_are_answered_as_by_one_process(tmp_path, inputs):
    known = network(tmp_path / "m.onnx", inputs)
    x = np.random.default_rng(1).uniform(0, 1, (40, inputs)).astype(np.float32)
    y = known.runtime.logits(x).argmax(1)
    y[5] = (y[5] + 1) % 3
    seen, numbers = [], list(range(100, 140))
    alone = robust(known, x, y, Settings(0.1), indices=numbers)
    (tmp_path / "m.onnx").unlink()  # what was loaded counts
    shared = robust(
        known, x, y, Settings(0.1), indices=numbers, report=lambda *each: seen.append(each), jobs=Jobs(2)
    )  # fmt: skip
    for one, other in zip(alone, shared, strict=True):
        same(one, other)
    assert {answer.verdict for answer in alone} == {Verdict.VERIFIED, Verdict.FALSIFIED, Verdict.MISCLASSIFIED}
    assert sorted(seen, key=lambda each: each[0]) == list(zip(numbers, shared, strict=True))


def test_from_python(tmp_path):
    known = network(tmp_path / "m.onnx", 6)
    x = np.full((2, 6), 0.5)
    y = known.runtime.logits(x).argmax(1)
    same(robustness(known, x, y, 0.01, jobs=2)[0], robustness(known, x, y, 0.01)[0])


def test_properties_are_answered_as_by_one_process(tmp_path):
    """With one that cannot be read, one that is not there, and one for another network."""
    known, paths = network(tmp_path / "m.onnx", 6), []
    declared = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(6))
    declared += "".join(f"(declare-const Y_{i} Real)" for i in range(3))
    texts = [f"{declared}(assert (>= Y_0 {least / 4}))" for least in range(20)]
    texts += [f"{declared}(assert (>= Y_0 many))", "", texts[0].replace("(declare-const X_5 Real)", "")]
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.vnnlib")
        paths[-1].write_text(text)
    paths[-2].unlink()
    alone, shared = (dict(answered(known, paths, Effort(), jobs=Jobs(count))) for count in (1, 2))
    assert list(sorted(shared)) == list(range(23))
    assert {alone[place].verdict for place in range(20)} == {Verdict.VERIFIED, Verdict.FALSIFIED}
    for place in range(20):
        same(alone[place], shared[place])
    for place in (20, 21, 22):
        assert isinstance(shared[place], InputError)
        assert (str(shared[place]), shared[place].excerpt) == (str(alone[place]), alone[place].excerpt)


@posix
def test_a_process_that_loses_the_first_one_ends(tmp_path):
    code = (
        "import os, shared_work, signal\n"
        "from glscert.verifier.run.jobs import Jobs, spread\n"
        "if __name__ == '__main__':\n"
        "    told = spread(shared_work.steady, None, range(10**9), Jobs(2))\n"
        "    next(told)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, tmp_path / "script.py"], env=environment, start_new_session=True)
    assert process.wait(60) == -signal.SIGKILL
    assert ended(process.pid)


def ended(group):
    """Whether nobody of a group of processes is left, soon."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
