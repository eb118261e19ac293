"""Decoded chips on disk, so that training does not wait for decoding and face detection.

A folder holds any number of shards. A shard is `chips-<key>.npy`, uint8 `(N, 200, 200, 3)` BGR, and
`chips-<key>.json`, which has the hash of each row's source file and a checksum of both. Chips are
found by content, whatever file or split they came from: a split that shares faces with an earlier
one decodes only the others, into its own shard.

Chips are 200x200 (`framing.frame`). UTKFace's are stored bit for bit. A shard is whole or absent,
and a row that does not match its checksum is never used.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from agecompact.data.face import Face
from agecompact.errors import OutputError, UsageError
from agecompact.faces.files import ChipFile, read_chip
from agecompact.faces.framing import CHIP_SIDE
from agecompact.files import atomic_path, output_errors
from agecompact.serialization import read_versioned, write_versioned
from agecompact.text import one_line

_SHAPE = (CHIP_SIDE, CHIP_SIDE, 3)
_AT_ONCE = 256

Say = Callable[[str], None]
Rows = npt.NDArray[np.uint8]
_Key = tuple[str, str]


@dataclass(frozen=True)
class _Row:
    """A row of a shard.

    Attributes:
        sha256: Hash of the source file's bytes.
        has_chip: Whether the file has a chip; if not, the row is zeros.
        checksum: `_checksum` of the row.
    """

    sha256: str
    has_chip: bool
    checksum: int


@dataclass(frozen=True)
class _Index:
    """The JSON file of a shard: the `Framing.key` of all rows, and the rows."""

    SCHEMA_VERSION: ClassVar[int] = 2

    framing: str
    rows: tuple[_Row, ...]


def to_stderr(line: str) -> None:
    """Prints a line to standard error, where it does not mix with results."""
    print(one_line(line), file=sys.stderr)


def read_faces(faces: Sequence[Face]) -> Iterator[ChipFile]:
    """Reads the file of each face, in order, in threads, a few hundred at a time."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(faces), _AT_ONCE):
            batch = faces[start : start + _AT_ONCE]
            yield from pool.map(lambda face: read_chip(face.path, face.framing), batch)


def chips(faces: Sequence[Face], folder: Path) -> list[Image | None]:
    """The chips of faces, from the cache or decoded into it; reports damaged shards.

    Args:
        faces: The faces.
        folder: The cache; created if missing.

    Returns:
        For each face read-only uint8 `(200, 200, 3)` BGR, mapped from the file and loaded when it
        is read; None if the face's file has no chip.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    wanted = {_key(face): face for face in faces}
    found = _read_shards(folder, wanted.keys())
    missing = [face for key, face in wanted.items() if key not in found]
    by_framing: dict[str, list[Face]] = {}
    for face in missing:
        by_framing.setdefault(face.framing.key, []).append(face)
    for group in by_framing.values():
        found |= _write_shard(folder, sorted(group, key=lambda face: face.sha256))
    return [found[_key(face)] for face in faces]


def _key(face: Face) -> _Key:
    return face.framing.key, face.sha256


def _read_shards(folder: Path, wanted: Set[_Key]) -> dict[_Key, Image | None]:
    found: dict[_Key, Image | None] = {}
    for index in sorted(folder.glob("chips-*.json")):
        try:
            found |= _read_shard(index, wanted)
        except (UsageError, OSError, ValueError, EOFError, TokenError) as error:
            rows = index.with_suffix(".npy")
            to_stderr(f"cached chips {rows} are damaged, decoding again: {error}")
            for path in (index, rows):
                with cache_errors(), output_errors(path):
                    path.unlink(missing_ok=True)
    return found


def _read_shard(path: Path, wanted: Set[_Key]) -> dict[_Key, Image | None]:
    """The wanted chips of a shard; an exception if it is not as it was written."""
    index = read_versioned(path, _Index, what="index of cached chips")
    used = [
        (row, pixels)
        for pixels, row in enumerate(index.rows)
        if (index.framing, row.sha256) in wanted
    ]
    if not used:
        return {}
    rows = _map(path.with_suffix(".npy"))
    if rows.shape != (len(index.rows), *_SHAPE) or rows.dtype != np.uint8:
        raise ValueError(f"{rows.dtype} {rows.shape} for {len(index.rows)} chips")
    damaged = sum(
        row.checksum != _checksum(index.framing, row.sha256, row.has_chip, rows[i])
        for row, i in used
    )
    if damaged:
        raise ValueError(f"{damaged} of {len(used)} chips changed since they were written")
    return {(index.framing, row.sha256): rows[i] if row.has_chip else None for row, i in used}


def _checksum(framing: str, sha256: str, has_chip: bool, pixels: Image) -> int:
    """CRC-32 of what a row is and of its pixels, so that no row can be taken for another."""
    return zlib.crc32(pixels.data, zlib.crc32(f"{framing} {sha256} {has_chip}".encode()))


def _write_shard(folder: Path, faces: Sequence[Face]) -> dict[_Key, Image | None]:
    framing = faces[0].framing.key
    names = "".join(face.sha256 for face in faces)
    key = hashlib.sha256(f"{_Index.SCHEMA_VERSION}:{framing}:{names}".encode()).hexdigest()[:16]
    path = folder / f"chips-{framing}-{key}.npy"
    rows: list[_Row] = []
    with cache_path(path) as temporary, temporary.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(faces), *_SHAPE)}
        np.lib.format.write_array_header_1_0(stream, header)
        for file in read_faces(faces):
            # Written, not mapped: on a full disk a mapped file kills the process silently.
            content = np.zeros(_SHAPE, np.uint8) if file.chip is None else file.chip
            content = np.ascontiguousarray(content)
            stream.write(content.data)
            # A file that changed since the survey is stored under its present hash.
            has_chip = file.chip is not None
            checksum = _checksum(framing, file.sha256, has_chip, content)
            rows.append(_Row(file.sha256, has_chip, checksum))
    with cache_errors():
        write_versioned(path.with_suffix(".json"), _Index(framing, tuple(rows)))
    mapped = _map(path)
    return {
        _key(face): mapped[i] if row.has_chip else None
        for i, (face, row) in enumerate(zip(faces, rows, strict=True))
    }


def _map(path: Path) -> Rows:
    # As a plain array: indexing a memmap object is slow.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@contextmanager
def cache_path(path: Path) -> Iterator[Path]:
    """Like `files.atomic_path`, but errors name the option `--cache`.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    with cache_errors(), atomic_path(path) as temporary:
        yield temporary


@contextmanager
def cache_errors() -> Iterator[None]:
    """Names the option `--cache` in the fix of output errors."""
    try:
        yield
    except OutputError as error:
        fix = error.fix.replace("--out", "--cache")
        raise OutputError(error.what, why=error.why, fix=fix) from error
