"""Files of a build folder, whose names and content may come from anyone.

A name in a manifest is a plain file name. It stands for a regular file, or for a package: a folder
of regular files and folders. Links are refused, even to files inside the build, because a link can
lead elsewhere after it was checked; so are devices and pipes, which may never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated

from agecompact import files
from agecompact.checked import Pattern
from agecompact.errors import UsageError

# Neither a path nor `.` or `..`, and nothing that a terminal would act on.
FileName = Annotated[str, Pattern(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,255}")]

_FIX = "export the model again, or copy the whole build again: agecompact export"

_TYPES = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular(path: Path, *, fix: str = _FIX) -> Path:
    """Checks that a path is a regular file, or a folder of regular files and folders.

    Args:
        path: A file of a build.
        fix: How to make it again, for the error message.

    Returns:
        The same path.

    Raises:
        UsageError: It is missing or inaccessible, or it is or contains a link, a device or a pipe.
    """
    try:
        _check(path, fix)
        if path.is_dir():
            for folder, folders, names in os.walk(path, onerror=_stop):
                for name in (*folders, *names):
                    _check(Path(folder) / name, fix)
    except OSError as error:
        raise _unreadable(error, fix) from None
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of a build, as `files.sha256_of`.

    Raises:
        UsageError: As `regular`, or it cannot be read.
    """
    try:
        return files.sha256_of(regular(path))
    except OSError as error:
        raise _unreadable(error, _FIX) from None


def _check(path: Path, fix: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise UsageError(f"{path} is missing", fix=fix) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(
            f"{path} is {_TYPES.get(stat.S_IFMT(mode), 'not a file')}",
            why="a build holds only files and packages of files",
            fix=fix,
        )


def _stop(error: OSError) -> None:
    raise error


def _unreadable(error: OSError, fix: str) -> UsageError:
    return UsageError(f"cannot read {error.filename}", why=error.strerror or str(error), fix=fix)
