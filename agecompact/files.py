"""Files that are whole or absent, their hashes, and canonical JSON."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import stat
from collections import Counter
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

_MOST_BYTES = 2**28
# Parsed, text can take 20 times as much memory.
_MOST_TEXT_BYTES = 2**26
_PLAIN = (str, int, float, bool, list, dict, type(None))
# Far more than any file needs, and far less than Python's own limit.
_DEEPEST = 50
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def canonical_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for people and for diffs: sorted keys, two spaces, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def read_bytes(path: Path, *, fix: str, most: int = _MOST_BYTES) -> bytes:
    """Reads a file that the user named or an archive should contain.

    Args:
        path: The file.
        fix: What to do if it cannot be read, for the error message.
        most: The most bytes that such a file has.

    Raises:
        UsageError: The file is missing, inaccessible, larger, or not a regular file.
    """
    try:
        return _content(path, most)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"cannot read {path}", why=why, fix=fix) from None


def _content(path: Path, most: int) -> bytes:
    """The bytes of a regular file; an `OSError` for a pipe or device, which may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, the limit is {most:,}")
    return path.read_bytes()


def json_value(text: str | bytes) -> Any:
    """Parses JSON strictly, so that the value can be written again.

    Raises:
        ValueError: The text is not JSON, is nested too deeply, or has NaN, an infinite number, a
            key twice, or half a surrogate pair.
        RecursionError: It is nested so deeply that it cannot be parsed.
    """
    text = text if isinstance(text, str) else text.decode()
    value = json.loads(
        text, parse_constant=finite, parse_float=finite, object_pairs_hook=_without_duplicates
    )
    check_plain(value)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def check_plain(value: Any) -> None:
    """Checks that a parsed value can be processed and written as JSON.

    Raises:
        ValueError: It is nested too deeply, or has a date of TOML.
    """
    level = [value]
    for _ in range(_DEEPEST):
        children = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not all(isinstance(child, _PLAIN) for child in children):
            raise ValueError("it has a date or a time, where none can be")
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested more than {_DEEPEST} levels deep")


def finite(text: str) -> float:
    """The number in a text.

    Raises:
        ValueError: It is NaN or infinite.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"it has the key '{twice}' twice")
    return value


def parse_file(path: Path, parse: Callable[[str], Any], *, what: str, fix: str = "") -> Any:
    """Parses a text file.

    Args:
        path: The file.
        parse: The parser, such as `json_value` or `tomllib.loads`.
        what: What the file should be, for the error message.
        fix: How to get such a file, for the error message.

    Raises:
        UsageError: The file is missing or cannot be parsed.
    """
    try:
        return parse(_content(path, _MOST_TEXT_BYTES).decode())
    except FileNotFoundError:
        raise UsageError(f"no {what} at {path}", fix=fix) from None
    # An integer of thousands of digits raises a plain ValueError, deep nesting a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"cannot read {what} {path}", why=why, fix=fix) from None


def read_json(path: Path, *, what: str, fix: str = "") -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UsageError: As `parse_file`, or the content is not an object.
    """
    value = parse_file(path, json_value, what=what, fix=fix)
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


def user_cache() -> Path:
    """The folder of agecompact in the user's cache, by the XDG base directory specification."""
    path = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    base = Path(path) if path.startswith("/") else Path.home() / ".cache"
    return base / "agecompact"
