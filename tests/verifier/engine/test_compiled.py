"""Programs that come with the package, and those that a compiler makes: found, kept, and missing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from glscert.verifier.engine import compiled, prebuilt
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.rows import RowsProgram
from jobs import answer, draw_job
from random_graphs import GRAPHS

COMPILER = compiled.command()
NEEDS_COMPILER = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
SHIPPED = pytest.mark.skipif(compiled.shipped("dense.h", 8, prebuilt.FOLDER) is not None, reason="programs are shipped")
BUILDS = pytest.mark.skipif(COMPILER is None or not prebuilt.here(), reason="no C compiler, or not Linux on x86-64")


@pytest.mark.parametrize(
    ("features", "best"),
    [
        ("", "x86-64"),
        ("fpu sse sse2 avx", "x86-64"),
        ("avx avx2 bmi1 bmi2 f16c fma abm movbe xsave sse", "x86-64-v3"),
        ("avx avx2 bmi1 bmi2 f16c abm movbe xsave avx512f", "x86-64"),  # no fma
        ("avx avx2 bmi1 bmi2 f16c fma abm movbe xsave avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v4"),
        ("avx avx2 bmi1 bmi2 f16c fma abm movbe xsave avx512f avx512cd", "x86-64-v3"),
    ],
)
def test_the_best_level_that_a_processor_runs(features, best):
    found = prebuilt.levels(set(features.split()))
    assert found[0].name == best and found[-1].name == "x86-64"


@BUILDS
def test_programs_built_for_the_package(tmp_path):
    """The best that the machine runs is taken, and does as those that are compiled at first use."""
    rng = np.random.default_rng(1)
    engine = Engine(*GRAPHS["conv_chain"](rng))
    drawn = draw_job(engine, rng, rows=21)
    expected = [answer(engine, drawn, row).bound for row in range(drawn.job.size)]

    def built(level):
        path = compiled.build("rows.h", 8, level, tmp_path, COMPILER)
        found = compiled.shipped("rows.h", 8, tmp_path)
        assert found.library._name == str(path) and found.lanes == level.vector // 8
        bound = RowsProgram(found, engine.plan, engine.dtype).bounds(drawn.job).bound
        np.testing.assert_allclose(bound, expected, rtol=1e-10, atol=1e-10)
        return found.library._name

    assert compiled.shipped("rows.h", 8, tmp_path / "none") is None
    assert compiled.shipped("rows.h", 8, tmp_path) is None
    best, *_, plain = prebuilt.here()
    kept = built(plain)
    if best != plain:
        (tmp_path / compiled.shipped_name("rows.h", 8, best)).write_bytes(b"")  # does not load: passed over
        assert compiled.shipped("rows.h", 8, tmp_path).library._name == kept
        built(best)
    assert compiled.shipped("rows.h", 4, tmp_path) is None and compiled.shipped("dense.h", 8, tmp_path) is None


SAY = """
from glscert.verifier.engine import compiled
print(compiled.program("dense.h", 8) is not None, compiled.found(), compiled.why_none(), sep="; ")
"""


def said(tmp_path, **environment):
    """What a process of its own says, whose cache is that of the folder."""
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
    done = subprocess.run([sys.executable, "-c", SAY], env=own, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def compiler(tmp_path, does):
    """A compiler that notes every start, and the notes."""
    path, notes = tmp_path / "own-compiler", tmp_path / "notes"
    path.write_text(f'#!/bin/sh\necho "$*" >> {notes}\n{does}\n')
    path.chmod(0o755)
    return path, lambda: notes.read_text().splitlines() if notes.exists() else []


@NEEDS_COMPILER
@SHIPPED
def test_a_warm_start_runs_no_compiler(tmp_path):
    path, notes = compiler(tmp_path, f'exec {" ".join(COMPILER)} "$@"')
    assert said(tmp_path, CC=str(path)).startswith("True; True")
    first = notes()
    assert len(first) == 2 and "-dM" in first[0]
    assert said(tmp_path, CC=str(path)).startswith("True; True")
    assert notes() == first
    path.write_text(path.read_text() + "\n")  # another version, which is asked what it is, and is the same
    assert said(tmp_path, CC=str(path)).startswith("True; True")
    assert len(notes()) == 3 and "-dM" in notes()[2]


@SHIPPED
def test_without_a_compiler_it_is_said(tmp_path):
    alone = {"PATH": str(tmp_path), "CC": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = said(tmp_path, **alone)
    assert found == "False; False; no program comes with the package for this machine, and no C compiler was found"


@SHIPPED
def test_a_compiler_that_fails_is_said(tmp_path):
    path, notes = compiler(tmp_path, 'case "$*" in *-dM*) exit 0;; *) exit 1;; esac')
    found = said(tmp_path, CC=str(path), PATH=str(tmp_path) + os.pathsep + "/usr/bin" + os.pathsep + "/bin")
    assert found == f"False; True; {path} did not compile the program"
    assert len(notes()) == 2
