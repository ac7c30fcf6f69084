"""What a release uploads: the sdist, a wheel for every platform, and one for Linux on x86-64 that carries the compiled
programs, so that verifying needs no compiler there. Into dist/, or the folder that is named: python .ci/build_wheels.py
"""

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from glscert.verifier.engine import compiled, prebuilt

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("verifier", "trainer", "export", "cli")
PLATFORM, GLIBC = "manylinux2014_x86_64", (2, 17)  # the oldest C library that the programs may ask for
PROGRAMS = (("rows.h", 4), ("rows.h", 8), ("dense.h", 8))


def tracked() -> set[str]:
    """Of every file that git knows or would add, deleted ones left out: relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def copy_of_the_tree(names: set[str], folder: Path) -> Path:
    """What a fresh clone holds: a `build/` left in the working tree would leak its old files into the wheel."""
    for name in ("pyproject.toml", "README.md", "LICENSE", *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(source: Path, folder: Path, *options: str) -> Path:
    """The wheel that `python -m build` makes."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def build_with_programs(source: Path, folder: Path) -> Path | None:
    """The wheel for `PLATFORM`; None where this machine is another, or has no compiler."""
    command = compiled.command()
    if command is None or not prebuilt.here():
        return None
    programs = source / "verifier" / "engine" / prebuilt.FOLDER.name
    programs.mkdir()
    wanted = [(*program, level, programs, command) for program in PROGRAMS for level in prebuilt.LEVELS]
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda of: compiled.build(*of), wanted))
    for path in made:
        asked = re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())
        if any(tuple(map(int, version)) > GLIBC for version in asked):
            sys.exit(f"{path.name} asks for a C library that is too new for {PLATFORM}: {asked}")
    return build(source, folder, "--wheel", f"-C--build-option=--plat-name={PLATFORM}")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        source = copy_of_the_tree(tracked(), Path(scratch, "source"))
        build(source, folder)
        if build_with_programs(source, folder) is None:
            sys.exit("the wheel with compiled programs can be built on Linux on x86-64 with a C compiler alone")
    print(*sorted(path.name for path in folder.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
