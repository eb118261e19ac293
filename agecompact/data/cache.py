"""Decoded chips on disk, so that training waits for no decoder and no face detector.

A folder holds any number of shards. A shard is `chips-<key>.npy`, uint8 `(N, 200, 200, 3)` BGR, and
`chips-<key>.json`, which names each row's source by the hash of the file's bytes and tells the
row's CRC-32. Chips are found by content, whatever file or split they came by: a split that shares
faces with an earlier one decodes only the others, into a shard of its own.

Chips are 200x200 (`framing.frame`): a picture of another size is resampled by area. UTKFace's are
kept bit for bit. A shard is whole or absent, and a row that does not match its CRC is never used.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from agecompact.data.face import Face
from agecompact.errors import OutputError, UsageError
from agecompact.faces.decoding import decode
from agecompact.faces.framing import CHIP_SIDE, frame
from agecompact.files import atomic_path, output_errors, pretty_json, read_json, write_text

SCHEMA_VERSION = 1

_SHAPE = (CHIP_SIDE, CHIP_SIDE, 3)
_AT_ONCE = 256

Say = Callable[[str], None]
Rows = npt.NDArray[np.uint8]
_Key = tuple[str, str]


def to_stderr(line: str) -> None:
    """Says a line where it disturbs no result."""
    print(line, file=sys.stderr)


def read_face(face: Face) -> tuple[str, Image | None]:
    """What is in a face's file.

    Returns:
        The hash of its bytes as they are now, empty if it cannot be opened; and the chip, uint8
        `(200, 200, 3)` BGR, or None if there is none in it.
    """
    try:
        content = face.path.read_bytes()
    except OSError:
        return "", None
    image = decode(content)
    chip = None if image is None else frame(image, face.framing)
    return hashlib.sha256(content).hexdigest(), chip


def read_faces(faces: Sequence[Face]) -> Iterator[tuple[str, Image | None]]:
    """`read_face` of each face, in order, in threads, a few hundred in flight."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(faces), _AT_ONCE):
            yield from pool.map(read_face, faces[start : start + _AT_ONCE])


def chips(faces: Sequence[Face], folder: Path, *, say: Say = to_stderr) -> list[Image | None]:
    """The chips of faces, from the cache or decoded into it.

    Args:
        faces: Which.
        folder: The cache, made if it is not there.
        say: Told of shards that are broken and decoded anew.

    Returns:
        One a face: read-only uint8 `(200, 200, 3)` BGR, mapped from the file and paged in when it
        is read; or None if there is no chip in the face's file.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    wanted = {_key(face): face for face in faces}
    found = _read_shards(folder, wanted.keys(), say)
    missing = [face for key, face in wanted.items() if key not in found]
    by_framing: dict[str, list[Face]] = {}
    for face in missing:
        by_framing.setdefault(face.framing.key, []).append(face)
    for group in by_framing.values():
        found |= _write_shard(folder, sorted(group, key=lambda face: face.sha256))
    return [found[_key(face)] for face in faces]


def _key(face: Face) -> _Key:
    return face.framing.key, face.sha256


def _read_shards(folder: Path, wanted: Set[_Key], say: Say) -> dict[_Key, Image | None]:
    found: dict[_Key, Image | None] = {}
    for index in sorted(folder.glob("chips-*.json")):
        try:
            found |= _read_shard(index, wanted)
        except (UsageError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
            say(f"the cached chips {index.with_suffix('.npy')} are broken, decoding anew: {error}")
            for path in (index, index.with_suffix(".npy")):
                with cache_errors(), output_errors(path):
                    path.unlink(missing_ok=True)
    return found


def _read_shard(index: Path, wanted: Set[_Key]) -> dict[_Key, Image | None]:
    """The wanted chips of a shard; an exception if the shard is not what was written."""
    content = read_json(index, what="index of cached chips")
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {content['schema_version']}, not {SCHEMA_VERSION}")
    entries = [
        ((str(content["framing"]), str(sha256)), row, crc)
        for row, (sha256, crc) in enumerate(content["rows"])
    ]
    used = [entry for entry in entries if entry[0] in wanted]
    if not used:
        return {}
    rows = _map(index.with_suffix(".npy"))
    if rows.shape != (len(entries), *_SHAPE) or rows.dtype != np.uint8:
        raise ValueError(f"{rows.dtype} {rows.shape} for {len(entries)} chips")
    damaged = [row for _, row, crc in used if crc is not None and zlib.crc32(rows[row].data) != crc]
    if damaged:
        raise ValueError(f"{len(damaged)} of {len(used)} chips changed since they were written")
    return {key: None if crc is None else rows[row] for key, row, crc in used}


def _write_shard(folder: Path, faces: Sequence[Face]) -> dict[_Key, Image | None]:
    framing = faces[0].framing.key
    names = "".join(face.sha256 for face in faces)
    key = hashlib.sha256(f"{SCHEMA_VERSION}:{framing}:{names}".encode()).hexdigest()[:16]
    path = folder / f"chips-{framing}-{key}.npy"
    rows: list[tuple[str, int | None]] = []
    with cache_path(path) as temporary, temporary.open("wb") as stream:
        _write_header(stream, len(faces))
        for sha256, chip in read_faces(faces):
            # Written, not mapped: on a full disk a map kills the process without a word.
            content = np.zeros(_SHAPE, np.uint8) if chip is None else np.ascontiguousarray(chip)
            stream.write(content.data)
            # Of a file that changed since the survey, the row is found by what is in it now.
            rows.append((sha256, None if chip is None else zlib.crc32(content.data)))
    index = {"schema_version": SCHEMA_VERSION, "framing": framing, "rows": rows}
    with cache_errors():
        write_text(path.with_suffix(".json"), pretty_json(index))
    mapped = _map(path)
    return {
        _key(face): None if crc is None else mapped[row]
        for row, (face, (_, crc)) in enumerate(zip(faces, rows, strict=True))
    }


def _map(path: Path) -> Rows:
    # As a plain array: every index into a memmap object costs a Python call.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _write_header(stream: IO[bytes], count: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *_SHAPE)}
    np.lib.format.write_array_header_1_0(stream, header)


@contextmanager
def cache_path(path: Path) -> Iterator[Path]:
    """`files.atomic_path` whose error names the option of the cache.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    with cache_errors(), atomic_path(path) as temporary:
        yield temporary


@contextmanager
def cache_errors() -> Iterator[None]:
    """Names `--cache` in the cure of what cannot be written."""
    try:
        yield
    except OutputError as error:
        cure = error.fix.replace("--out", "--cache")
        raise OutputError(error.what, why=error.why, fix=cure) from error
