"""What an image file declares, checked before it is decoded.

A decoder allocates what a file declares: 430 kB of PNG can declare 2.7 GB of pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

# 8192 x 8192, which needs up to 0.7 GB while it is decoded.
MOST_PIXELS = 2**26
FORMATS = "JPEG, PNG, WebP or BMP"

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
# Start of frame, but not the tables DHT and DAC, nor the extension JPG, which are between them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_JPEG_WITHOUT_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))

Size = tuple[int, int]


def size(content: bytes) -> Size | None:
    """Width and height in pixels; None if the bytes do not begin like a whole image.

    Args:
        content: The bytes of the file.
    """
    try:
        return next((read(content) for fits, read in _READERS if fits(content)), None)
    except (struct.error, IndexError):
        return None


def is_too_large(size: Size) -> bool:
    """Whether an image has more pixels than are decoded."""
    return size[0] * size[1] > MOST_PIXELS


def _jpeg(content: bytes) -> Size | None:
    position = len(_JPEG)
    while (position := content.find(b"\xff", position)) >= 0:
        # Any number of 0xFF may come before a marker.
        while content[position] == 0xFF:
            position += 1
        marker = content[position]
        position += 1
        if marker in (_JPEG_END, _JPEG_SCAN):
            return None
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 3)
            return width, height
        if marker not in _JPEG_WITHOUT_LENGTH:
            position += struct.unpack_from(">H", content, position)[0]
    return None


def _png(content: bytes) -> Size | None:
    position, kind, width, height = len(_PNG), b"", 0, 0
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind in (b"IHDR", b"fcTL"):
            # A frame of an animation has its own size, after its number.
            place = position + (8 if kind == b"IHDR" else 12)
            sides = struct.unpack_from(">II", content, place)
            width, height = max(width, sides[0]), max(height, sides[1])
        position += length + 12
    # The declared length of a chunk is allocated, even if the file ends before.
    return (width, height) if position <= len(content) else None


def _webp(content: bytes) -> Size | None:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        sides = ((bits >> shift & 0x3FFF) + 1 for shift in (0, 14))
    else:
        sides = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    width, height = sides
    return width, height


def _bmp(content: bytes) -> Size | None:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header_bytes == 12 else "<ii", content, 18)
    # Rows from the top down are written as a negative height.
    return abs(width), abs(height)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Size | None]], ...] = (
    (lambda content: content.startswith(_JPEG), _jpeg),
    (lambda content: content.startswith(_PNG), _png),
    (lambda content: content[:4] == b"RIFF" and content[8:12] == b"WEBP", _webp),
    (lambda content: content.startswith(b"BM"), _bmp),
)
