"""The declared size of an image is read without decoding it, and too large ones are refused."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from agecompact.errors import ExitCode
from agecompact.faces import headers
from agecompact.faces.decoding import decode
from agecompact.faces.headers import Header
from tests.agecompact.faces.made import packed
from tests.limited import run_limited

_PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: int, extra: bytes = b"") -> bytes:
    """A black-and-white PNG that has data for some of its rows."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 + (width + 7) // 8) * rows)
    return _PNG + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]),
        (".png", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".bmp", []),
    ],
)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_it_is_the_size_that_opencv_decodes(
    suffix: str, options: list[int], width: int, height: int
) -> None:
    content = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8), options)[1].tobytes()
    assert headers.size(content) == (width, height)
    assert headers.size(content + b"appended") == (width, height)


@given(width=st.integers(1, 300), height=st.integers(1, 300))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("AVIF", {"speed": 10, "quality": 30}),
    ],
)
@settings(deadline=None, max_examples=20)
def test_it_is_the_size_that_pillow_writes(
    kind: str, options: dict[str, object], width: int, height: int
) -> None:
    content = packed(Pillow.new("RGB", (width, height)), kind, **options)
    header = headers.read(content)
    assert header is not None
    assert (header.format, header.size) == (kind, (width, height))
    assert headers.size(content + b"appended") == (width, height)


@pytest.mark.parametrize("suffix", [".tiff", ".avif"])
def test_it_is_the_size_that_opencv_writes(suffix: str) -> None:
    content = cv2.imencode(suffix, np.zeros((70, 90, 3), np.uint8))[1].tobytes()
    assert headers.size(content) == (90, 70)


def tiff(tags: dict[int, int], order: str = "<") -> bytes:
    """A TIFF file of nothing but numbers."""
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4)


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of an ISO file."""
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def iso(brand: bytes, *sizes: tuple[int, int]) -> bytes:
    """An AVIF or HEIC file of nothing but sizes."""
    declared = (box(b"ispe", bytes(4), struct.pack(">II", *size)) for size in sizes)
    properties = box(b"iprp", box(b"ipco", *declared))
    return box(b"ftyp", brand, bytes(4), brand) + box(b"meta", bytes(4), properties)


def test_sizes_in_boxes_and_directories() -> None:
    assert headers.read(iso(b"avif", (64, 64), (300, 200))) == Header("AVIF", (300, 200))
    assert headers.read(iso(b"heic", (64, 48))) == Header("HEIC", (64, 48))
    assert headers.read(iso(b"mif1", (64, 48))) == Header("HEIC", (64, 48))
    assert headers.read(iso(b"isom", (64, 48))) is None
    assert headers.read(iso(b"avif")) is None
    for order in "<>":
        assert headers.size(tiff({256: 30, 257: 20}, order)) == (30, 20)
    assert headers.size(tiff({256: 30})) is None


def test_a_webp_with_an_extended_header() -> None:
    chunk_ = b"VP8X" + struct.pack("<II", 10, 0) + struct.pack("<I", 299)[:3] + b"\x63\0\0"
    assert headers.size(b"RIFF\0\0\0\0WEBP" + chunk_) == (300, 100)


@given(st.binary(max_size=200))
@pytest.mark.parametrize(
    "start",
    [
        *(b"", b"\xff\xd8", _PNG, b"RIFF....WEBP", b"BM", b"GIF89a", b"II*\0", b"MM\0+"),
        *(b"\0\0\0\x14ftypavif", iso(b"heic")[:-16]),
    ],
)
def test_no_bytes_raise_an_error(start: bytes, rest: bytes) -> None:
    headers.read(start + rest)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
@pytest.mark.parametrize(
    "content",
    [iso(b"avif", (64, 64), (9, 9)), iso(b"heic", (64, 64)), tiff({256: 30, 257: 20, 322: 8})],
    ids=["AVIF", "HEIC", "TIFF"],
)
def test_no_change_raises_an_error_or_allocates(content: bytes, at: int, change: bytes) -> None:
    at %= len(content)
    content = content[:at] + change + content[at + len(change) :]
    tracemalloc.start()
    try:
        headers.read(content)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_the_largest_image_is_decoded_and_a_larger_one_is_not() -> None:
    side = 8192
    assert decode(png(side, side, side)) is not None
    assert decode(png(side, side + 1, side + 1)) is None


# By what is wrong with each.
_BOMBS = {
    "is too large": [
        png(30_000, 30_000, 100),
        png(60_000, 60_000, 100),
        # A frame of an animation that is larger than the picture.
        png(8, 8, 8, chunk(b"fcTL", struct.pack(">5I4xBB", 0, 60_000, 60_000, 0, 0, 0, 0))),
        b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(100),
        tiff({256: 60_000, 257: 60_000}),
        # A tile that is larger than the picture.
        tiff({256: 64, 257: 64, 322: 60_000, 323: 60_000}),
        iso(b"avif", (64, 64), (60_000, 60_000)),
        iso(b"heic", (60_000, 60_000)),
        b"RIFF....WEBPVP8X" + bytes(8) + b"\xff\xff\0" * 2,
    ],
    "is not an image": [
        # A chunk of two gigabytes, in 100 bytes.
        png(8, 8, 8, chunk(b"tEXt", b"a\0b", 0x7FFF_FFFF)),
        b"P6\n40000 40000\n255\n" + bytes(100),
    ],
}


def test_bombs_are_refused_and_the_other_images_are_still_read(tmp_path: Path) -> None:
    expected = []
    for what, bombs in _BOMBS.items():
        for content in bombs:
            path = tmp_path / f"{len(expected)}.png"
            path.write_bytes(content)
            expected.append((path, what))
            assert (headers.size(content) is None) == (what == "is not an image")
            assert decode(content) is None
    face = tmp_path / "face.png"
    cv2.imwrite(str(face), np.full((64, 64, 3), 128, np.uint8))
    images = [path for path, _ in expected]
    done = run_limited("predict", "--model", "ssrnet", "--no-detect", *images, face)
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert done.stdout.startswith(f"{face}: ")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {path} {what}" for path, what in expected]
    assert "Traceback" not in done.stderr
