"""Paths of a policy: from the file's own folder, and no further up than the repository that it lies in."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import InputError


def root_of(policy: Path) -> Path:
    """The repository: the nearest folder above that holds `.git`; where there is none, the policy's own."""
    folder = _resolved(policy).parent
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)


def inside(given: str, policy: Path, root: Path) -> Path:
    """The path `given` in a policy, seen from where we are. Raises ValueError: what it should be.

    Links are followed: one that leads out is refused as `..` is, and one that leads to itself.
    """
    if PurePosixPath(given).is_absolute() or PureWindowsPath(given).anchor:
        raise ValueError(f"a path from the policy's folder; {given} is absolute, and means something else elsewhere")
    path = policy.parent / given
    try:
        resolved = _resolved(path)
    except InputError as error:
        raise ValueError(f"another path; {error}") from None
    if not resolved.is_relative_to(root):
        raise ValueError(
            f"a path inside {root}; this one leads out of it, to {resolved}. Move the file there; a folder of data "
            "elsewhere is named by --data-dir"
        )
    return path


def folder(given: str, policy: Path, root: Path) -> Path:
    """The same of a folder that exists."""
    path = inside(given, policy, root)
    if not path.is_dir():
        raise ValueError(f"a folder that exists; {path} is none")
    return path


def uri(path: Path, root: Path) -> str:
    """Relative to the root, its characters as a URI has them."""
    from urllib.parse import quote

    resolved = _resolved(path)
    return quote((resolved.relative_to(root) if resolved.is_relative_to(root) else resolved).as_posix())


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a name too long, a null character
        raise InputError(f"{path} leads nowhere ({getattr(error, 'strerror', None) or error})") from None
