"""What an image file declares, checked before it is decoded.

A decoder allocates what a file declares: 430 kB of PNG can declare 2.7 GB of pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agecompact.faces import containers
from agecompact.faces.containers import Size

# 8192 x 8192, which needs 0.4 to 1.6 GB while it is decoded.
MOST_PIXELS = 2**26
FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF or BMP"

Format = Literal["JPEG", "PNG", "WebP", "AVIF", "HEIC", "GIF", "TIFF", "BMP"]

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
# In either order of bytes; 43 is BigTIFF.
_TIFF = frozenset((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
# Start of frame, but not the tables DHT and DAC, nor the extension JPG, which are between them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END, _JPEG_SCAN, _JPEG_PROFILE = 0xD9, 0xDA, 0xE2
_JPEG_WITHOUT_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
_PNG_TRANSPARENT, _PNG_NOT_PLAIN = frozenset((4, 6)), frozenset((b"tRNS", b"acTL", b"iCCP"))
_WEBP_PROFILE, _WEBP_ALPHA, _WEBP_ANIMATION = 0x20, 0x10, 0x02
_CMYK = 4
_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


@dataclass(frozen=True)
class Header:
    """What an image file declares.

    Attributes:
        format: What kind of file it is.
        size: Width and height in pixels, before it is turned.
        plain: Whether OpenCV reads it right: it has no transparency, animation or CMYK, and is of
            a format in which OpenCV sees the rest.
        profiled: Whether the colours of a plain picture have a profile.
    """

    format: Format
    size: Size
    plain: bool = False
    profiled: bool = False


def read(content: bytes) -> Header | None:
    """What the bytes declare; None if they do not begin like a whole image.

    Args:
        content: The bytes of the file.
    """
    try:
        return next((parse(content) for fits, parse in _READERS if fits(content)), None)
    except (struct.error, IndexError, OverflowError):
        return None


def size(content: bytes) -> Size | None:
    """Width and height in pixels; None if the bytes do not begin like a whole image.

    Args:
        content: The bytes of the file.
    """
    header = read(content)
    return header.size if header else None


def is_too_large(size: Size) -> bool:
    """Whether an image has more pixels than are decoded."""
    return size[0] * size[1] > MOST_PIXELS


def _jpeg(content: bytes) -> Header | None:
    position, profiled = len(_JPEG), False
    while (position := content.find(b"\xff", position)) >= 0:
        # Any number of 0xFF may come before a marker.
        while content[position] == 0xFF:
            position += 1
        marker = content[position]
        position += 1
        if marker in (_JPEG_END, _JPEG_SCAN):
            return None
        if marker in _JPEG_FRAMES:
            height, width, components = struct.unpack_from(">HHB", content, position + 3)
            return Header("JPEG", (width, height), components < _CMYK, profiled)
        if marker == _JPEG_PROFILE:
            profiled |= content.startswith(b"ICC_PROFILE\0", position + 2)
        if marker not in _JPEG_WITHOUT_LENGTH:
            position += struct.unpack_from(">H", content, position)[0]
    return None


def _png(content: bytes) -> Header | None:
    position, kind, width, height, plain = len(_PNG), b"", 0, 0, True
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind in (b"IHDR", b"fcTL"):
            # A frame of an animation has its own size, after its number.
            place = position + (8 if kind == b"IHDR" else 12)
            sides = struct.unpack_from(">II", content, place)
            width, height = max(width, sides[0]), max(height, sides[1])
        if kind == b"IHDR":
            plain &= content[position + 17] not in _PNG_TRANSPARENT
        plain &= kind not in _PNG_NOT_PLAIN
        position += length + 12
    # The declared length of a chunk is allocated, even if the file ends before.
    return Header("PNG", (width, height), plain) if position <= len(content) else None


def _webp(content: bytes) -> Header:
    kind = content[12:16]
    plain = True
    if kind == b"VP8X":
        sides = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
        plain = not content[20] & (_WEBP_PROFILE | _WEBP_ALPHA | _WEBP_ANIMATION)
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        sides = ((bits >> shift & 0x3FFF) + 1 for shift in (0, 14))
        plain = not bits >> 28 & 1
    else:
        sides = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    width, height = sides
    return Header("WebP", (width, height), plain)


def _bmp(content: bytes) -> Header:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header_bytes == 12 else "<ii", content, 18)
    # Rows from the top down are written as a negative height.
    return Header("BMP", (abs(width), abs(height)), plain=True)


def _gif(content: bytes) -> Header:
    width, height = struct.unpack_from("<HH", content, 6)
    return Header("GIF", (width, height))


def _tiff(content: bytes) -> Header | None:
    size = containers.tiff(content, MOST_PIXELS)
    return None if size is None else Header("TIFF", size)


def _iso(content: bytes) -> Header | None:
    size = containers.iso(content)
    is_avif = not _AVIF.isdisjoint(containers.brands(content))
    return None if size is None else Header("AVIF" if is_avif else "HEIC", size)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Header | None]], ...] = (
    (lambda content: content.startswith(_JPEG), _jpeg),
    (lambda content: content.startswith(_PNG), _png),
    (lambda content: content[:4] == b"RIFF" and content[8:12] == b"WEBP", _webp),
    (lambda content: content.startswith(b"BM"), _bmp),
    (lambda content: content.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda content: content[:4] in _TIFF, _tiff),
    (lambda content: not containers.brands(content).isdisjoint(_AVIF | _HEIC), _iso),
)
