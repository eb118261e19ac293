"""The sizes that TIFF directories and ISO boxes (AVIF, HEIC) declare."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Size = tuple[int, int]

# Types of whole numbers in a directory, and how `struct` reads them.
_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 254, 256, 257, 322, 323
_REDUCED = 1


def tiff(content: bytes, most_pixels: int) -> Size | None:
    """Width and height of the first picture of a TIFF file.

    Args:
        content: The bytes of the file.
        most_pixels: A tile is allocated, however small the picture: its size is returned if it has
            more pixels than this.

    Returns:
        None if there is none, or if it is a thumbnail: cameras' raw files begin with one.

    Raises:
        struct.error: The file ends before its directory does.
    """
    order = "<" if content.startswith(b"II") else ">"
    (version,) = struct.unpack_from(f"{order}H", content, 2)
    # BigTIFF has a directory of wider numbers.
    count_type, offset_type, at = ("Q", "Q", 8) if version == 43 else ("H", "I", 4)
    (start,) = struct.unpack_from(f"{order}{offset_type}", content, at)
    (count,) = struct.unpack_from(f"{order}{count_type}", content, start)
    entry = struct.Struct(f"{order}HH{offset_type}")
    place = start + struct.calcsize(count_type)
    values: dict[int, int] = {}
    for _ in range(min(count, 2**16)):
        tag, kind, _ = entry.unpack_from(content, place)
        if value := _TIFF_TYPES.get(kind):
            (values[tag],) = struct.unpack_from(f"{order}{value}", content, place + entry.size)
        place += entry.size + struct.calcsize(offset_type)
    if values.get(_SUBFILE, 0) & _REDUCED or _WIDTH not in values or _HEIGHT not in values:
        return None
    tile = values.get(_TILE_WIDTH, 0), values.get(_TILE_HEIGHT, 0)
    return tile if tile[0] * tile[1] > most_pixels else (values[_WIDTH], values[_HEIGHT])


def brands(content: bytes) -> frozenset[bytes]:
    """The brands of an ISO file: what a reader must know to read it. Empty for other files."""
    if content[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(content[:4]), 256)
    # Between the first brand and the others is a version.
    return frozenset(content[i : i + 4] for i in (8, *range(16, end, 4)))


def iso(content: bytes) -> Size | None:
    """Width and height of the largest picture in an ISO file, before it is turned and cropped.

    The stream in the file may be larger than that, up to the limits of its decoder: libavif's is
    16384 x 16384.

    Raises:
        struct.error: A box ends before its fields do.
    """
    sizes = [
        struct.unpack_from(">II", content, size + 4)
        for kind, meta, end in _boxes(content, 0, len(content))
        if kind == b"meta"
        for size in _inside(content, meta + 4, end, b"iprp", b"ipco", b"ispe")
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _inside(content: bytes, start: int, end: int, kind: bytes, *inner: bytes) -> Iterator[int]:
    """Where the boxes at the end of a path of kinds begin."""
    for found, first, last in _boxes(content, start, end):
        if found == kind:
            if inner:
                yield from _inside(content, first, last, *inner)
            else:
                yield first


def _boxes(content: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is in each box of a part of a file."""
    while position + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, position)
        start = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        last = position + size if size else end
        if not start <= last <= end:
            return
        yield kind, start, last
        position = last
