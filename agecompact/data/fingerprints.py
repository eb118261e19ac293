"""Hashes and thumbnails of files, kept between surveys for files that have not changed."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from agecompact.data import duplicates
from agecompact.data.cache import Say, cache_path
from agecompact.data.duplicates import Thumbnails
from agecompact.faces.decoding import decode
from agecompact.faces.framing import Framing, frame

SCHEMA_VERSION = 1

State = Literal["read", "unreadable", "faceless"]
_STATES: tuple[State, ...] = ("read", "unreadable", "faceless")
_NOTHING = np.zeros(duplicates.PIXELS, np.float32)


@dataclass(frozen=True)
class Fingerprint:
    """What a survey needs of a file.

    Attributes:
        stamp: Size in bytes and time of change in nanoseconds, which tell whether it changed.
        state: `unreadable`, no image; `faceless`, no face in it; or `read`.
        sha256: Hash of its bytes, empty if it could not be opened.
        thumbnail: `duplicates.thumbnail` of its chip; zeros if there is none.
    """

    stamp: tuple[int, int]
    state: State
    sha256: str = ""
    thumbnail: Thumbnails = field(default_factory=lambda: _NOTHING)


def take(path: Path, framing: Framing) -> Fingerprint:
    """Reads a file's fingerprint. No file makes it fail."""
    try:
        stamp = stamp_of(path)
        content = path.read_bytes()
    except OSError:
        return Fingerprint((0, 0), "unreadable")
    sha256 = hashlib.sha256(content).hexdigest()
    image = decode(content)
    if image is None:
        return Fingerprint(stamp, "unreadable", sha256)
    chip = frame(image, framing)
    if chip is None:
        return Fingerprint(stamp, "faceless", sha256)
    return Fingerprint(stamp, "read", sha256, duplicates.thumbnail(chip))


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change of a file.

    Raises:
        OSError: It cannot be looked at.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def is_fresh(fingerprint: Fingerprint, path: Path) -> bool:
    """Whether a file is as it was when its fingerprint was taken."""
    try:
        return bool(fingerprint.sha256) and stamp_of(path) == fingerprint.stamp
    except OSError:
        return False


def path_in(cache: Path, dataset: str, framing: Framing) -> Path:
    """Where a cache keeps the fingerprints of a data set."""
    return cache / f"fingerprints-{dataset}-{framing.key}.npz"


def write(path: Path, fingerprints: Mapping[str, Fingerprint]) -> None:
    """Keeps fingerprints by the names of their files, 4 kB each.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    values = list(fingerprints.values())
    header = {"schema_version": SCHEMA_VERSION, "names": list(fingerprints)}
    with cache_path(path) as temporary:
        np.savez(
            temporary,
            header=np.frombuffer(json.dumps(header).encode(), np.uint8),
            stamps=np.array([v.stamp for v in values], np.int64).reshape(-1, 2),
            states=np.array([_STATES.index(v.state) for v in values], np.uint8),
            sha256=np.array([v.sha256.encode() for v in values], "S64"),
            thumbnails=np.stack([v.thumbnail for v in values]),
        )


def read(path: Path, say: Say) -> dict[str, Fingerprint]:
    """Fingerprints by the names of their files; none if there are none, or none that can be read.

    Args:
        path: Where `write` put them.
        say: Told if they are there and broken.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as kept:
            header = json.loads(kept["header"].tobytes())
            if header["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {header['schema_version']}")
            columns = (kept["stamps"].tolist(), kept["states"], kept["sha256"], kept["thumbnails"])
            if columns[3].shape != (len(header["names"]), duplicates.PIXELS):
                raise ValueError(f"thumbnails of shape {columns[3].shape}")
            return {
                name: Fingerprint((stamp[0], stamp[1]), _STATES[state], sha256.decode(), thumbnail)
                for name, stamp, state, sha256, thumbnail in zip(
                    header["names"], *columns, strict=True
                )
            }
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        reason: Exception = error
    except (zipfile.BadZipFile, zlib.error) as error:
        reason = error
    say(f"the kept fingerprints {path} are broken, reading all files anew: {reason}")
    return {}
