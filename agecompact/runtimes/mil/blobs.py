"""Reads `weight.bin`: version 2 of MIL's blob file.

A header of 64 bytes (number of blobs, version) comes before the blobs. Each blob is a record of 64
bytes (sentinel, type, size, offset of the data, bits of padding) and its data. Both start at
multiples of 64 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.tensor_types import DType

_BLOCK = 64
_VERSION = 2
_SENTINEL = 0xDEADBEEF
_HEADER = struct.Struct("<II")
_RECORD = struct.Struct("<IIQQQ")


@dataclass(frozen=True)
class BlobFile:
    """A blob file with a valid header.

    Attributes:
        name: Of the file, for errors.
        content: All its bytes.

    Raises:
        UsageError: The header is truncated or has another version.
    """

    name: str
    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) < _BLOCK:
            raise self._broken(f"it has {len(self.content)} bytes, too few for a header")
        _, version = _HEADER.unpack_from(self.content)
        if version != _VERSION:
            raise self._broken(f"its version is {version}, not {_VERSION}")

    def read(self, offset: int, dtype: DType, elements: int) -> Array:
        """Reads and unpacks one blob.

        Args:
            offset: Of its record.
            dtype: Element type that the program declares.
            elements: Number of elements that the program declares.

        Returns:
            `dtype.numpy` of shape `(elements,)`.

        Raises:
            UsageError: There is no record at the offset, the data are truncated, or the record has
                another type or size than the program declares.
        """
        where = f"the blob at {offset}"
        if offset % _BLOCK or not _BLOCK <= offset <= len(self.content) - _BLOCK:
            raise self._broken(f"{where} is not inside its {len(self.content)} bytes")
        sentinel, code, size, start, padding_bits = _RECORD.unpack_from(self.content, offset)
        if sentinel != _SENTINEL:
            raise self._broken(f"{where} starts with {sentinel:#x}, not {_SENTINEL:#x}")
        if code != dtype.blob:
            raise self._broken(f"{where} has type {code}, but the program declares {dtype.name}")
        if start % _BLOCK or start < offset + _BLOCK or start + size > len(self.content):
            raise self._broken(f"the {size} bytes of {where} are not all in the file")
        if size * 8 - padding_bits != elements * dtype.bits or padding_bits >= 8:
            raise self._broken(
                f"{where} has {size} bytes, but the program declares {elements} of {dtype.name}"
            )
        return unpack(self.content[start : start + size], dtype, elements)

    def _broken(self, why: str) -> UsageError:
        return UsageError(
            f"{self.name} is broken", why=why, fix="export the package again, or copy it again"
        )


def unpack(content: bytes, dtype: DType, elements: int) -> Array:
    """Unpacks stored elements.

    Args:
        content: Little-endian. Elements below 8 bits are packed from the least significant bit, and
            cross byte boundaries if their size does not divide 8. Extra bytes are ignored.
        dtype: Of the elements.
        elements: Number of elements.

    Returns:
        `dtype.numpy` of shape `(elements,)`.
    """
    if dtype.bits >= 8:
        stored: Array = np.frombuffer(content, dtype.numpy.newbyteorder("<"), elements)
        return stored.astype(dtype.numpy)
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    rows = bits[: elements * dtype.bits].reshape(elements, dtype.bits)
    # Each element becomes the high bits of a byte; shifting it down then keeps its sign.
    unused = 8 - dtype.bits
    values = np.packbits(np.pad(rows, ((0, 0), (unused, 0))), bitorder="little")
    return values.view(dtype.numpy) >> unused
