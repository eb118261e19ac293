"""Reads `weight.bin`: version 2 of MIL's blob file.

A header of 64 bytes (count of blobs, version) is followed by the blobs, each a record of 64 bytes
(sentinel, type, size, offset of the data, bits of padding) and its data, on multiples of 64 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.dtypes import DType

_BLOCK = 64
_VERSION = 2
_SENTINEL = 0xDEADBEEF
_HEADER = struct.Struct("<II")
_RECORD = struct.Struct("<IIQQQ")


@dataclass(frozen=True)
class BlobFile:
    """The content of one blob file, checked as far as its header.

    Attributes:
        name: Of the file, for errors.
        content: All its bytes.

    Raises:
        UsageError: The header is cut short or of another version.
    """

    name: str
    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) < _BLOCK:
            raise self._broken(f"{len(self.content)} bytes hold no header")
        _, version = _HEADER.unpack_from(self.content)
        if version != _VERSION:
            raise self._broken(f"its version is {version}, not {_VERSION}")

    def read(self, offset: int, dtype: DType, elements: int) -> Array:
        """One blob, its elements unpacked.

        Args:
            offset: Where its record stands.
            dtype: What the program says it holds.
            elements: How many.

        Returns:
            `dtype.numpy` of shape `(elements,)`.

        Raises:
            UsageError: No record stands there, the data are not all in the file, or the record says
                another type or size than the program.
        """
        where = f"the blob at {offset}"
        if offset % _BLOCK or not _BLOCK <= offset <= len(self.content) - _BLOCK:
            raise self._broken(f"{where} is not inside its {len(self.content)} bytes")
        sentinel, code, size, start, padding_bits = _RECORD.unpack_from(self.content, offset)
        if sentinel != _SENTINEL:
            raise self._broken(f"{where} starts with {sentinel:#x}, not {_SENTINEL:#x}")
        if code != dtype.blob:
            raise self._broken(f"{where} has type {code}, but the program says {dtype.name}")
        if start % _BLOCK or start < offset + _BLOCK or start + size > len(self.content):
            raise self._broken(f"the {size} bytes of {where} are not all in the file")
        if size * 8 - padding_bits != elements * dtype.bits or padding_bits >= 8:
            raise self._broken(
                f"{where} holds {size} bytes, but the program says {elements} of {dtype.name}"
            )
        return unpack(self.content[start : start + size], dtype, elements)

    def _broken(self, why: str) -> UsageError:
        return UsageError(
            f"{self.name} is broken", why=why, fix="export the package again, or copy it again"
        )


def unpack(content: bytes, dtype: DType, elements: int) -> Array:
    """Elements from their stored bytes.

    Args:
        content: Little-endian; elements of less than 8 bits packed from the least significant bit,
            across bytes where they do not divide 8. At least as long as the elements take.
        dtype: Of the elements.
        elements: How many.

    Returns:
        `dtype.numpy` of shape `(elements,)`.
    """
    if dtype.bits >= 8:
        stored: Array = np.frombuffer(content, dtype.numpy.newbyteorder("<"), elements)
        return stored.astype(dtype.numpy)
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    rows = bits[: elements * dtype.bits].reshape(elements, dtype.bits)
    weights = (1 << np.arange(dtype.bits)).astype(np.uint8)
    values = (rows * weights).sum(axis=1, dtype=np.uint8)
    if dtype.numpy == np.int8:
        # The top bit of a signed element tells its sign.
        values = (
            (values ^ (1 << (dtype.bits - 1))).astype(np.int16) - (1 << (dtype.bits - 1))
        ).astype(np.int8)
    return np.asarray(values, dtype.numpy)
