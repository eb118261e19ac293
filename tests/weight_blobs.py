"""Finds the weights in the blob file of a Core ML package, for tests that change them.

Does not use agecompact's reader. The magic numbers are those of coremltools'
`MILBlob/Blob/StorageFormat.hpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

WEIGHT_FILE = Path("Data/com.apple.CoreML/weights/weight.bin")

_SENTINEL = (0xDEADBEEF).to_bytes(4, "little")
_ALIGNMENT = 64
_DTYPES = {1: "<f2", 2: "<f4"}


@dataclass(frozen=True)
class Blob:
    """One tensor of a blob file."""

    dtype: str
    start: int
    bytes: int

    def within(self, content: bytearray) -> npt.NDArray[np.floating]:
        """A view of its values, to change them in place."""
        view: npt.NDArray[np.floating] = np.frombuffer(
            memoryview(content)[self.start : self.start + self.bytes], self.dtype
        )
        return view


def blobs(content: bytes) -> tuple[Blob, ...]:
    """The float blobs of a blob file, in order."""
    found = []
    for at in range(_ALIGNMENT, len(content), _ALIGNMENT):
        if content[at : at + 4] == _SENTINEL:
            kind, size, start = np.frombuffer(content[at + 4 : at + 24], "<u4,<u8,<u8")[0]
            if int(kind) in _DTYPES:
                found.append(Blob(_DTYPES[int(kind)], int(start), int(size)))
    assert found
    return tuple(found)
