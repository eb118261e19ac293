"""Atomic file writes, file hashes, and canonical JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agecompact.errors import OutputError, UsageError

_MOST_BYTES = 2**28
# Parsed, text can take 20 times as much memory.
_MOST_TEXT_BYTES = 2**26
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
        ValueError: The text is not JSON, or has NaN, an infinite number, a key twice, or half a
            surrogate pair.
        RecursionError: It is nested too deeply.
    """
    text = text if isinstance(text, str) else text.decode()
    value = json.loads(
        text, parse_constant=finite, parse_float=finite, object_pairs_hook=_without_duplicates
    )
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


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
    except OSError as error:
        reason = error.strerror or str(error)
        fix = (
            "free some space, or choose another folder with --out"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose a folder that you can write to with --out"
        )
        raise OutputError(f"cannot write {path}", why=reason, fix=fix) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block succeeds.

    Works for files and folders (an `.mlpackage`). On any exception, including Ctrl-C, the temporary
    file is removed and `path` is unchanged.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    make_folder(path.parent)
    with output_errors(path):
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
    # The suffix stays: converters choose their format by it.
    temporary = scratch / path.name
    try:
        with output_errors(path):
            yield temporary
            _replace(temporary, path, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(temporary: Path, path: Path, scratch: Path) -> None:
    if not temporary.is_dir():
        os.replace(temporary, path)  # noqa: PTH105
        return
    # A folder cannot be renamed over a non-empty one: move the old one aside first.
    if path.exists():
        os.replace(path, scratch / "old")  # noqa: PTH105
    os.replace(temporary, path)  # noqa: PTH105


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def user_cache() -> Path:
    """The folder of agecompact in the user's cache, by the XDG base directory specification."""
    path = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    base = Path(path) if path.startswith("/") else Path.home() / ".cache"
    return base / "agecompact"
