"""An exception -> one sentence for the user and the exit code that goes with it."""

import errno

from glscert.verifier.errors import GlscertError, memory_missing

_SMALLER = "Give a smaller network, batch or --memory, fewer inputs at a time, or a machine with more."

# The machine failed to write, as opposed to the user naming something that cannot be used.
_WRITE_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def describe(error: BaseException) -> tuple[str, int]:
    """(sentence, exit code). Disk errors are found wherever they lie in the chain of causes: libraries wrap them."""
    if isinstance(error, GlscertError):
        return _one_line(error) + error.excerpt, error.exit_code
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _WRITE_FAILURES:
            return f"cannot write {_place(cause)}: {cause.strerror}. {_REMEDY[cause.errno]}", 5
        if "No space left on device" in str(cause):  # raised by libraries written in other languages
            return f"cannot write {_place(cause)}: No space left on device. {_REMEDY[errno.ENOSPC]}", 5
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}.", 2
    if isinstance(error, ModuleNotFoundError):
        return (
            f"the Python package {error.name!r} is not installed; training and the demo need "
            "`pip install 'glscert[train]'`.",
            2,
        )
    for cause in _chain(error):
        missing = memory_missing(cause)
        if missing is not None:
            return f"this takes {missing}. {_SMALLER}", 4
    return (
        f"internal error, {type(error).__name__}: {_one_line(error)} (run again with GLSCLI_TRACEBACK=1, or as "
        "`glscli --debug ...`, to see where, and please report it).",
        5,
    )


_REMEDY = dict.fromkeys(_WRITE_FAILURES, "Write to another disk.")
_REMEDY[errno.ENOSPC] = _REMEDY[errno.EDQUOT] = "Free some space or write to another disk."


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _place(error: BaseException) -> str:
    """The path, where the error knows it: a write into an open file does not."""
    name = getattr(error, "filename", None)
    return str(name) if name is not None else "the output"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
