"""The declared size of an image is read without decoding it, and too large ones are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import ExitCode
from agecompact.faces import headers
from agecompact.faces.decoding import decode
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


def test_a_webp_with_an_extended_header() -> None:
    chunk_ = b"VP8X" + struct.pack("<II", 10, 0) + struct.pack("<I", 299)[:3] + b"\x63\0\0"
    assert headers.size(b"RIFF\0\0\0\0WEBP" + chunk_) == (300, 100)


@given(st.binary(max_size=200))
@pytest.mark.parametrize("start", [b"", b"\xff\xd8", _PNG, b"RIFF....WEBP", b"BM"])
def test_no_bytes_raise_an_error(start: bytes, rest: bytes) -> None:
    headers.size(start + rest)


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
