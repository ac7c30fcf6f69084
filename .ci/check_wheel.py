"""The wheel, built from the tree and again from the sdist, carries every tracked file of every package.

A subpackage left out of `packages` in pyproject.toml works in an editable install and is silently missing here.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("verifier", "trainer", "export", "cli")


def tracked() -> set[str]:
    """Names as the wheel spells them, of every file that git knows or would add; deleted ones left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {f"glscert/{name}" for name in listed if (ROOT / name).is_file()}


def copy_of_the_tree(names: set[str], folder: Path) -> Path:
    """What a fresh clone holds: a `build/` left in the working tree would leak its old files into the wheel."""
    for name in ("pyproject.toml", "README.md", "LICENSE", *(name.removeprefix("glscert/") for name in names)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def built(source: Path, folder: Path, *options: str) -> set[str]:
    """File names in the wheel that `python -m build` makes."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("glscert/")}


def main() -> None:
    expected = tracked()
    wrong = False
    with tempfile.TemporaryDirectory() as scratch:
        ways = {"tree": ("--wheel",), "sdist": ()}  # without an option, build goes through the sdist
        for way, options in ways.items():
            source = copy_of_the_tree(expected, Path(scratch, f"from-{way}"))
            found = built(source, Path(scratch, way), *options)
            for label, names in (("missing from", expected - found), ("unexpected in", found - expected)):
                for name in sorted(names):
                    print(f"{label} the wheel built from the {way}: {name}")
                    wrong = True
    if wrong:
        sys.exit("the wheel differs from the tree: see [tool.setuptools] packages in pyproject.toml")
    print(f"the wheel carries all {len(expected)} files, from the tree and from the sdist")


if __name__ == "__main__":
    main()
