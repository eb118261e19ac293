"""Replaces a folder in one step, so that a reader finds the old one or the new one, each whole.

Linux and macOS can exchange two folders in one step. On file systems that cannot, such as NFS, the
old folder is moved aside first, and a reader may find none for a moment. If the process dies in
that moment, the old folder is in its scratch folder, and `restore` puts it back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

# Where a scratch folder keeps what is being replaced, under its own name.
_ASIDE = "replaced"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # macOS: sys/stdio.h

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def replace(new: Path, path: Path, scratch: Path) -> None:
    """Moves a file or folder to a path, replacing what is there.

    Args:
        new: The file or folder, inside `scratch`.
        path: Its destination, on the same file system. Other processes may replace it as well.
        scratch: A folder beside `path`, which receives what was replaced.

    Raises:
        OSError: It cannot be moved.
    """
    if not new.is_dir():
        os.replace(new, path)  # noqa: PTH105
        return
    while not _moved(new, path):
        try:
            swap(new, path)
            return
        except FileNotFoundError:
            # Another process has removed it.
            continue
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        aside = scratch / _ASIDE
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        with suppress(FileNotFoundError):
            path.rename(aside / path.name)


def restore(scratch: Path) -> None:
    """Puts back what a dead process had moved aside, unless something else is there by now."""
    aside = scratch / _ASIDE
    if aside.is_dir():
        for old in aside.iterdir():
            _moved(old, scratch.parent / old.name)


def _moved(new: Path, path: Path) -> bool:
    """Moves a folder to a path where nothing is, or an empty folder; returns whether it did."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return False
    return True


def swap(one: Path, other: Path) -> None:
    """Exchanges two files or folders in one step.

    Raises:
        OSError: One is missing; or `ENOSYS` or `EINVAL`, if this system or file system cannot.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, _RENAME_SWAP)
        else:
            first, second = names
            failed = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
