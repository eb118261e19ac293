"""Atomic file writes, file hashes, and canonical JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agecompact.errors import OutputError, UsageError


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
