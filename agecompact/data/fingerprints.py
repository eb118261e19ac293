"""Hashes and thumbnails of files, kept between surveys for files that have not changed."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np

from agecompact.data import duplicates
from agecompact.data.cache import Say, cache_path
from agecompact.data.duplicates import Thumbnails
from agecompact.errors import UsageError
from agecompact.faces.files import State, read_chip
from agecompact.faces.framing import Framing
from agecompact.serialization import parse_json, unstructure

_STATES: tuple[State, ...] = get_args(State)
_NO_THUMBNAIL = np.zeros(duplicates.PIXELS, np.float32)


@dataclass(frozen=True)
class Fingerprint:
    """What a survey needs to know about a file.

    Attributes:
        stamp: Size in bytes and modification time in nanoseconds, to detect changes.
        state: Whether the file has a chip, see `faces.files.ChipFile`.
        sha256: Hash of its bytes; empty if it could not be opened.
        thumbnail: `duplicates.thumbnail` of its chip; zeros if there is none.
    """

    stamp: tuple[int, int]
    state: State
    sha256: str = ""
    thumbnail: Thumbnails = field(default_factory=lambda: _NO_THUMBNAIL)


@dataclass(frozen=True)
class _Header:
    """The names of the files, in the order of the arrays."""

    SCHEMA_VERSION: ClassVar[int] = 1

    names: tuple[str, ...]


def take(path: Path, framing: Framing) -> Fingerprint:
    """Computes a file's fingerprint. Never raises an error for a bad file."""
    try:
        stamp = stamp_of(path)
    except OSError:
        return Fingerprint((0, 0), "unreadable")
    file = read_chip(path, framing)
    thumbnail = _NO_THUMBNAIL if file.chip is None else duplicates.thumbnail(file.chip)
    return Fingerprint(stamp, file.state, file.sha256, thumbnail)


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and modification time of a file.

    Raises:
        OSError: The file is missing or inaccessible.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def is_fresh(fingerprint: Fingerprint, path: Path) -> bool:
    """Whether a file has not changed since its fingerprint was taken."""
    try:
        return bool(fingerprint.sha256) and stamp_of(path) == fingerprint.stamp
    except OSError:
        return False


def path_in(cache: Path, dataset: str, framing: Framing) -> Path:
    """The file of a data set's fingerprints in a cache."""
    return cache / f"fingerprints-{dataset}-{framing.key}.npz"


def write(path: Path, fingerprints: Mapping[str, Fingerprint]) -> None:
    """Writes fingerprints by file name, about 4 kB each.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    values = list(fingerprints.values())
    header = json.dumps(unstructure(_Header(tuple(fingerprints))))
    with cache_path(path) as temporary:
        np.savez(
            temporary,
            header=np.frombuffer(header.encode(), np.uint8),
            stamps=np.array([v.stamp for v in values], np.int64).reshape(-1, 2),
            states=np.array([_STATES.index(v.state) for v in values], np.uint8),
            sha256=np.array([v.sha256.encode() for v in values], "S64"),
            thumbnails=np.stack([v.thumbnail for v in values]),
        )


def read(path: Path, say: Say) -> dict[str, Fingerprint]:
    """Reads fingerprints by file name; none if the file is missing or damaged.

    Args:
        path: A file that `write` wrote.
        say: Reports a damaged file.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = parse_json(arrays["header"].tobytes(), _Header, where="its header").names
            columns = [arrays[name] for name in ("stamps", "states", "sha256", "thumbnails")]
        if columns[3].shape != (len(names), duplicates.PIXELS):
            raise ValueError(f"thumbnails of shape {columns[3].shape}")
        return {
            name: Fingerprint((int(size), int(time)), _STATES[state], sha256.decode(), thumbnail)
            for name, (size, time), state, sha256, thumbnail in zip(names, *columns, strict=True)
        }
    except (UsageError, OSError, ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        reason: Exception = error
    except (zipfile.BadZipFile, zlib.error) as error:
        reason = error
    say(f"cached fingerprints {path} are damaged, reading all files again: {reason}")
    return {}
