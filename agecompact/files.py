"""Files that are whole or absent, their hashes, and canonical JSON."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from agecompact import exchange
from agecompact.errors import OutputError, UsageError
from agecompact.scratch import scratch_folder

_CLAIM = ".agecompact-claim"
_SPACE = "free some space, or choose another folder with --out"
_FIXES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.ENAMETOOLONG: "choose a shorter name with --out",
    errno.EFBIG: "raise the limit of this shell: ulimit -f unlimited",
    errno.EMFILE: "raise the limit of this shell: ulimit -n 1024",
}


def canonical_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for people and for diffs: sorted keys, two spaces, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def read_bytes(path: Path, *, fix: str) -> bytes:
    """Reads a file that the user named or an archive should contain.

    Raises:
        UsageError: The file is missing or inaccessible; `fix` says what to do.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot read {path}", why=why, fix=fix) from None


def parse_file(path: Path, parse: Callable[[str], Any], *, what: str, fix: str = "") -> Any:
    """Parses a text file with `json.loads` or `tomllib.loads`.

    Args:
        path: The file.
        parse: The parser.
        what: What the file should be, for the error message.
        fix: How to get such a file, for the error message.

    Raises:
        UsageError: The file is missing or cannot be parsed.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no {what} at {path}", fix=fix) from None
    # An integer of thousands of digits raises a plain ValueError, deep nesting a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {what} {path}", why=str(error), fix=fix) from None


def read_json(path: Path, *, what: str, fix: str = "") -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UsageError: As `parse_file`, or the content is not an object.
    """
    value = parse_file(path, json.loads, what=what, fix=fix)
    if not isinstance(value, dict):
        raise UsageError(f"cannot read {what} {path}", why="it is not a JSON object", fix=fix)
    return value


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder: of its sorted `<sha256>  <relative path>` lines."""
    if path.is_dir():
        lines = [
            f"{sha256_of(child)}  {child.relative_to(path).as_posix()}\n"
            for child in sorted(path.rglob("*"))
            if child.is_file()
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(child.stat().st_size for child in path.rglob("*") if child.is_file())
    return path.stat().st_size


def make_folder(path: Path) -> Path:
    """Creates an output folder and its parents.

    Raises:
        OutputError: The folder cannot be created or written to.
    """
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission to write", str(path))
    return path


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` of the block into an `OutputError` with a fix."""
    try:
        yield
    except BrokenPipeError:
        # It is standard output's, to which the block has printed.
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        fix = _FIXES.get(error.errno or 0, "choose a folder that you can write to with --out")
        raise OutputError(f"cannot write {path}", why=reason, fix=fix) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block succeeds.

    Works for files and folders (an `.mlpackage`). On any exception, including Ctrl-C, the temporary
    file is removed and `path` is unchanged. Whoever reads `path` finds the old content or the new,
    each whole. Of several writers at once the last one wins.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    with _replacement(path) as (temporary, scratch):
        yield temporary
        with locked(path.parent):
            exchange.replace(temporary, path, scratch)


@contextmanager
def updated_path(path: Path) -> Iterator[Path]:
    """Like `atomic_path`, for content that is made from the present content of `path`.

    Other writers into the folder wait until the block ends, so none of their changes is lost.

    Raises:
        OutputError: As in `atomic_path`.
    """
    with _replacement(path) as (temporary, scratch), locked(path.parent):
        yield temporary
        exchange.replace(temporary, path, scratch)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until no other process holds the lock of a folder, and holds it during the block.

    On file systems without locks for folders, such as some NFS, nothing is locked.
    """
    lock = _lock(folder)
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Claims an output folder for the block: for files that belong together, written over hours.

    Raises:
        UsageError: Another process has claimed it.
        OutputError: The folder cannot be written to.
    """
    path = make_folder(folder) / _CLAIM
    with output_errors(path):
        try:
            lock = _lock(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process writes into {folder}",
                fix="wait until it ends, or choose another folder with --out",
            ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _lock(path: Path, flags: int = os.O_RDONLY, wait: int = 0) -> int:
    while True:
        lock = os.open(path, flags)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | wait)
        except BlockingIOError:
            os.close(lock)
            raise
        except OSError:
            # This file system has no such locks.
            return lock
        # It may have been replaced while this process was waiting.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


@contextmanager
def _replacement(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yields a temporary path and the scratch folder beside `path` that it is in."""
    make_folder(path.parent)
    with output_errors(path), scratch_folder(path.parent) as scratch:
        # The suffix stays: converters choose their format by it.
        yield scratch / path.name, scratch


def save_array(stream: BinaryIO, array: Any) -> None:
    """Writes an array as `numpy.save` does, whose own errors do not say why they occurred."""
    import numpy as np

    # NumPy writes to a file itself, and loses the system's error number.
    np.save(SimpleNamespace(write=stream.write), array, allow_pickle=False)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; a name that is not UTF-8 is written with escapes.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
