"""Temporary folders: each is locked by its owner, and swept by others once that is dead.

A process that is killed cannot remove its folders. The next process that makes one in the same
place, or that reads a build there, does. The lock, and not the name or the age, says whether the
owner is alive: it is released by the kernel, and also holds between containers. Where files cannot
be locked, nothing is swept.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agecompact import exchange
from agecompact.errors import MachineError

PREFIX = ".agecompact-"
_LOCK = ".agecompact-lock"
# With less free space than this, what failed has failed because the disk is full.
_FULL_BYTES = 1 << 16


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Makes an empty folder, which is removed at the end of the block.

    Args:
        parent: The folder to make it in; by default the one for temporary files.

    Raises:
        OSError: It cannot be made.
    """
    folder, lock = _owned(temporary_files() if parent is None else parent)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def temporary_files() -> Path:
    """The folder for temporary files.

    Raises:
        MachineError: There is none.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise MachineError(
            "no folder for temporary files can be written to",
            why=str(error.strerror),
            fix="free some space there, or set TMPDIR to another folder",
        ) from None


def raise_if_full(folder: Path) -> None:
    """Raises the reason that a program may not have been able to write down itself.

    Raises:
        OSError: `ENOSPC`, if the disk of a folder is full.
    """
    if shutil.disk_usage(folder).free < _FULL_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def sweep(parent: Path) -> None:
    """Removes the scratch folders of dead processes, and restores what they were replacing."""
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                _sweep(folder)


def _owned(parent: Path) -> tuple[Path, int]:
    """Makes a folder and locks it; returns both."""
    sweep(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        try:
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR)
        except FileNotFoundError:
            # Another process has just swept the empty folder.
            continue
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _sweep(folder: Path) -> None:
    status = folder.lstat()
    # In a place that users share, another's folder or link is not to be followed.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        # Its owner was killed before it made the lock. Anything else is not ours.
        folder.rmdir()
        return
    try:
        # Fails while the owner is alive.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        exchange.restore(folder)
        _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """Removes a folder, and its lock last: if this is interrupted, it can still be swept."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink()
        if [path.name for path in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
            folder.rmdir()
