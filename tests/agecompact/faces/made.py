"""Image files by Pillow and OpenCV, and parts of files by their specifications."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from agecompact.contract import Image

Colorant = tuple[float, float, float]

# The red, green and blue of Display P3 as XYZ of D50, and its white.
_DISPLAY_P3: tuple[Colorant, ...] = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
_D50 = (0.96420, 1.0, 0.82491)


def saved(image: npt.NDArray[np.uint8], kind: str, **options: object) -> bytes:
    """A file by Pillow; three channels are BGR, four BGRA."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(image.shape[-1] if image.ndim == 3 else 1)
    made_of = Pillow.fromarray(np.ascontiguousarray(image[..., order] if order else image))
    return packed(made_of, kind, **options)


def packed(image: Pillow.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def avif(image: Image) -> bytes:
    """A picture in AVIF, written by OpenCV."""
    return cv2.imencode(".avif", image, [cv2.IMWRITE_AVIF_SPEED, 9])[1].tobytes()


def heic(image: Image, heif: ModuleType, **options: object) -> bytes:
    stream = io.BytesIO()
    heif.from_pillow(Pillow.fromarray(np.ascontiguousarray(image[:, :, ::-1]))).save(
        stream, **options
    )
    return stream.getvalue()


def profile(
    name: str,
    curve: Callable[[float], float],
    space: bytes = b"RGB ",
    colorants: tuple[Colorant, ...] = _DISPLAY_P3,
) -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04), of matrix and curves, or of one grey curve."""
    text = name.encode()
    samples = b"".join(struct.pack(">H", round(65535 * curve(i / 1023))) for i in range(1024))
    curves = b"curv\0\0\0\0" + struct.pack(">I", 1024) + samples
    length = struct.pack(">I", len(text) + 1)
    tags = {
        b"desc": b"desc\0\0\0\0" + length + text + bytes(1 + 4 + 4 + 3 + 67),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curves
    else:
        for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
            tags |= {letter + b"XYZ": _xyz(colorant), letter + b"TRC": curves}
    table, data = struct.pack(">I", len(tags)), b""
    for key, value in tags.items():
        # Tags share what is equal.
        if (place := data.find(value)) < 0:
            place = len(data)
            data += value + bytes(-len(value) % 4)
        table += struct.pack(">4sII", key, 128 + 4 + 12 * len(tags) + place, len(value))
    size = 128 + len(table) + len(data)
    head = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s28x", 2020, 1, 1, 0, 0, 0, b"acsp")
    head += b"".join(struct.pack(">i", round(v * 65536)) for v in _D50)
    return head + bytes(128 - len(head)) + table + data


def _xyz(values: Colorant) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def quarter_turns(number: int) -> bytes:
    """The box that turns a picture anticlockwise (ISO/IEC 23008-12, 6.5.10)."""
    return struct.pack(">I4sB", 9, b"irot", number)


def mirrored(axis: int) -> bytes:
    """The box that swaps the top and bottom of a picture (0), or its left and right (1)."""
    return struct.pack(">I4sB", 9, b"imir", axis)


def with_properties(content: bytes, *properties: bytes) -> bytes:
    """Adds properties to all items of an ISO file (ISO/IEC 14496-12): boxes such as `irot`."""

    def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
        found = []
        while data:
            size, kind = struct.unpack_from(">I4s", data)
            found.append((kind, data[8:size]))
            data = data[size:]
        return found

    def packed(found: list[tuple[bytes, bytes]]) -> bytes:
        return b"".join(struct.pack(">I4s", len(data) + 8, kind) + data for kind, data in found)

    def associated(data: bytes, known: int) -> bytes:
        assert data[:4] == bytes(4)
        (entries,) = struct.unpack_from(">I", data, 4)
        made, place = data[:8], 8
        for _ in range(entries):
            count = data[place + 2]
            made += data[place : place + 2] + bytes((count + len(properties),))
            made += data[place + 3 : place + 3 + count]
            made += bytes(0x80 | known + 1 + i for i in range(len(properties)))
            place += 3 + count
        return made

    def moved(data: bytes, by: int) -> bytes:
        # Offsets and lengths of four bytes, to a base of four bytes or none.
        assert data[:5] == b"\0\0\0\0\x44"
        made, place, based = bytearray(data), 8, data[5] == 0x40
        (items,) = struct.unpack_from(">H", data, 6)
        for _ in range(items):
            place += 4
            extents = struct.unpack_from(">IH" if based else ">H", data, place)[-1]
            places = [place] if based else [place + 2 + 8 * i for i in range(extents)]
            for at in places:
                (offset,) = struct.unpack_from(">I", data, at)
                struct.pack_into(">I", made, at, offset + by)
            place += (6 if based else 2) + 8 * extents
        return bytes(made)

    result = []
    for kind, data in boxes(content):
        if kind != b"meta":
            result.append((kind, data))
            continue
        meta = dict(boxes(data[4:]))
        parts = boxes(meta[b"iprp"])
        known = boxes(dict(parts)[b"ipco"])
        changed = []
        for part, inner in parts:
            if part == b"ipco":
                inner += b"".join(properties)
            elif part == b"ipma":
                inner = associated(inner, len(known))
            changed.append((part, inner))
        meta[b"iprp"] = packed(changed)
        meta[b"iloc"] = moved(meta[b"iloc"], len(packed(changed)) - len(packed(parts)))
        result.append((kind, data[:4] + packed(list(meta.items()))))
    return packed(result)
