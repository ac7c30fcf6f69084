"""The wheel, built from the tree and again from the sdist, carries every tracked file of every package; that for Linux
on x86-64 also programs, which run where there is no compiler.

A subpackage left out of `packages` in pyproject.toml works in an editable install and is silently missing here.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from build_wheels import PROGRAMS, build, build_with_programs, copy_of_the_tree, tracked

from glscert.verifier.engine import prebuilt

RUN = """
from glscert.verifier.engine import compiled, prebuilt
assert all(compiled.shipped(*program, prebuilt.FOLDER) is not None for program in {programs})
print(compiled.__file__)
"""


def held(wheel: Path) -> set[str]:
    """Names of the files in it, as the tree has them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name.removeprefix("glscert/") for name in archive.namelist() if name.startswith("glscert/")}


def differs(way: str, expected: set[str], found: set[str]) -> bool:
    for label, names in (("missing from", expected - found), ("unexpected in", found - expected)):
        for name in sorted(names):
            print(f"{label} the wheel built {way}: {name}")
    return expected != found


def runs(wheel: Path, folder: Path) -> None:
    """Exits where a program does not load."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    own = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", RUN.format(programs=PROGRAMS)]
    done = subprocess.run(command, env=own, capture_output=True, text=True, cwd=folder)
    if done.returncode or not done.stdout.startswith(str(folder)):
        sys.exit(f"the programs in {wheel.name} do not run:\n{done.stdout}{done.stderr}")


def main() -> None:
    names = tracked()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        source = copy_of_the_tree(names, folder / "from-tree")
        with_programs = build_with_programs(source, folder / "tree")
        found = held(with_programs or build(source, folder / "tree", "--wheel"))
        programs = {name for name in found if name.endswith(".so")}
        wrong = differs("from the tree", names, found - programs)
        if with_programs is not None:
            wrong |= len(programs) != len(PROGRAMS) * len(prebuilt.LEVELS)
            runs(with_programs, folder / "unpacked")
        source = copy_of_the_tree(names, folder / "from-sdist")
        wrong |= differs(
            "from the sdist", names, held(build(source, folder / "sdist"))
        )  # without an option: through it
    if wrong:
        sys.exit("the wheel differs from the tree: see [tool.setuptools] packages in pyproject.toml")
    with_them = f"and {len(programs)} programs that run" if programs else "no programs: this machine builds none"
    print(f"the wheel carries all {len(names)} files, from the tree and from the sdist; {with_them}")


if __name__ == "__main__":
    main()
