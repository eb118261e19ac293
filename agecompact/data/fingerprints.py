"""Thumbnails of pictures, kept between surveys by the hash of the file's bytes.

A survey hashes every file again, which takes less time than its search for near duplicates.
Equal size and time do not prove that a file's bytes are the same.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any, get_args

import numpy as np

from agecompact.data import duplicates
from agecompact.data.cache import Say, cache_path
from agecompact.data.duplicates import Thumbnails
from agecompact.errors import UsageError
from agecompact.faces.files import State, chip_in, image_bytes, is_square, picture_hash
from agecompact.faces.framing import Framing

_STATES: tuple[State, ...] = get_args(State)
_NO_THUMBNAIL = np.zeros(duplicates.PIXELS, np.float32)


@dataclass(frozen=True)
class Fingerprint:
    """What a survey needs to know about a file.

    Attributes:
        state: Whether the file has a chip, see `faces.files.ChipFile`.
        sha256: `faces.files.picture_hash`; empty if it could not be opened.
        thumbnail: `duplicates.thumbnail` of its chip; zeros if there is none.
    """

    state: State
    sha256: str = ""
    thumbnail: Thumbnails = field(default_factory=lambda: _NO_THUMBNAIL)


def take(path: Path, framing: Framing, known: Mapping[str, Fingerprint]) -> Fingerprint:
    """A file's fingerprint. Never raises an error for a bad file.

    A picture that should be a chip as it is, but is not square, has none: it would be squashed.

    Args:
        path: The file, which is read and hashed.
        framing: How to cut its chip.
        known: Fingerprints by hash; a file with one of these hashes is not decoded. What could not
            be read is tried again: a package for its format may be installed by now.
    """
    try:
        content = image_bytes(path)
    except UsageError:
        return Fingerprint("unreadable")
    sha256 = picture_hash(content, framing)
    if framing.kind == "whole" and not is_square(content):
        return Fingerprint("not_square", sha256)
    if sha256 in known and known[sha256].state != "unreadable":
        return known[sha256]
    file = chip_in(content, framing)
    thumbnail = _NO_THUMBNAIL if file.chip is None else duplicates.thumbnail(file.chip)
    return Fingerprint(file.state, sha256, thumbnail)


def path_in(cache: Path, dataset: str, framing: Framing) -> Path:
    """The file of a data set's fingerprints in a cache."""
    return cache / f"thumbnails-{dataset}-{framing.key}.npz"


def write(path: Path, fingerprints: Iterable[Fingerprint]) -> None:
    """Writes fingerprints of files that could be opened, about 4 kB each.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    values = [value for value in fingerprints if value.sha256]
    with cache_path(path) as temporary:
        np.savez(
            temporary,
            states=np.array([_STATES.index(v.state) for v in values], np.uint8),
            sha256=np.array([v.sha256.encode() for v in values], "S64"),
            thumbnails=np.array([v.thumbnail for v in values], np.float32),
        )


def read(path: Path, say: Say) -> dict[str, Fingerprint]:
    """Reads fingerprints by hash; none if the file is missing or damaged.

    Args:
        path: A file that `write` wrote.
        say: Reports a damaged file.
    """
    if not path.exists():
        return {}
    try:
        # Its checksums are compared while it is read.
        with zipfile.ZipFile(path) as archive:
            states = _array(archive, "states", np.uint8)
            hashes = _array(archive, "sha256", np.dtype("S64"))
            thumbnails = _array(archive, "thumbnails", np.float32, duplicates.PIXELS)
        return {
            sha256.decode(): Fingerprint(_STATES[state], sha256.decode(), thumbnail)
            for state, sha256, thumbnail in zip(states, hashes, thumbnails, strict=True)
        }
    # zipfile raises NotImplementedError and RuntimeError for features that it does not have, NumPy
    # a TokenError for some headers.
    except (OSError, ValueError, KeyError, IndexError, EOFError, RuntimeError) as error:
        reason: Exception = error
    except (zipfile.BadZipFile, TokenError) as error:
        reason = error
    say(f"cached fingerprints {path} are damaged, decoding all files again: {reason}")
    return {}


def _array(archive: zipfile.ZipFile, name: str, kind: Any, *inner: int) -> Any:
    """An array of rows that `np.savez` wrote; its size is that of the data, not what it declares.

    Args:
        archive: The file.
        name: Name of the array.
        kind: Type of its elements.
        inner: Shape of a row.

    Raises:
        ValueError: It is compressed, or its data does not fit its header.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"'{name}' is compressed")
    with archive.open(member) as stream:
        np.lib.format.read_magic(stream)
        shape, _, found = np.lib.format.read_array_header_1_0(stream)
        values = np.frombuffer(stream.read(), kind).reshape(-1, *inner)
    if found != kind or shape != values.shape:
        raise ValueError(f"'{name}' does not fit its header")
    return values
