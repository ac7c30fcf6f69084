"""A run named on the command line -> its folder, and where a command's output goes."""

from pathlib import Path

from glscert.verifier.errors import InputError


def find_run(named: str | None, runs_dir: Path) -> Path:
    """`named` in `runs_dir`, or a path to a run's folder, or the newest run where None.

    Raises InputError: no such run.
    """
    from glscert import trainer

    if named is None:
        return trainer.newest_run(runs_dir)
    inside, outright = runs_dir / named, Path(named)
    folder = outright if not inside.is_dir() and outright.is_dir() else inside
    trainer.read_config(folder)
    return folder


def check_output(path: Path | None, endings: tuple[str, ...]) -> None:
    """Refuses a file that could not be written before work goes into it. Raises InputError."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InputError(f"--out {path} ends in {path.suffix or 'nothing'}; it must end in {' or '.join(endings)}.")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; --out names a file in a folder that exists.")
