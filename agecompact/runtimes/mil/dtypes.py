"""Element types of MIL, by their number in the model's protobuf, their name and their blob code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agecompact.errors import UsageError

Kind = Literal["float", "int", "bool", "string"]


@dataclass(frozen=True)
class DType:
    """One element type.

    Attributes:
        name: As MIL's `cast` spells it.
        kind: What arithmetic it takes.
        bits: Of one stored element; below 8, elements are packed, the least significant bit first.
        number: In `DataType` of MIL.proto.
        blob: Code in the records of `weight.bin`, or None where no blob holds it.
        numpy: Of one element once unpacked.
    """

    name: str
    kind: Kind
    bits: int
    number: int
    blob: int | None
    numpy: np.dtype[Any]


# The blob codes are those of MILBlob's BlobDataType.
_ALL = (
    DType("bool", "bool", 8, 1, None, np.dtype(np.bool_)),
    DType("string", "string", 0, 2, None, np.dtype(np.str_)),
    DType("fp16", "float", 16, 10, 1, np.dtype(np.float16)),
    DType("fp32", "float", 32, 11, 2, np.dtype(np.float32)),
    DType("int8", "int", 8, 21, 4, np.dtype(np.int8)),
    DType("int16", "int", 16, 22, 6, np.dtype(np.int16)),
    DType("int32", "int", 32, 23, 14, np.dtype(np.int32)),
    DType("int64", "int", 64, 24, None, np.dtype(np.int64)),
    DType("int4", "int", 4, 25, 8, np.dtype(np.int8)),
    DType("uint8", "int", 8, 31, 3, np.dtype(np.uint8)),
    DType("uint16", "int", 16, 32, 7, np.dtype(np.uint16)),
    DType("uint32", "int", 32, 33, 15, np.dtype(np.uint32)),
    DType("uint64", "int", 64, 34, None, np.dtype(np.uint64)),
    DType("uint4", "int", 4, 35, 11, np.dtype(np.uint8)),
    DType("uint2", "int", 2, 36, 10, np.dtype(np.uint8)),
    DType("uint1", "int", 1, 37, 9, np.dtype(np.uint8)),
    DType("uint6", "int", 6, 38, 13, np.dtype(np.uint8)),
    DType("uint3", "int", 3, 39, 12, np.dtype(np.uint8)),
)

BY_NUMBER: Mapping[int, DType] = {dtype.number: dtype for dtype in _ALL}
BY_NAME: Mapping[str, DType] = {dtype.name: dtype for dtype in _ALL}

FP16 = BY_NAME["fp16"]
FP32 = BY_NAME["fp32"]
INT32 = BY_NAME["int32"]


def by_number(number: int, where: str) -> DType:
    """The type of a number of MIL.proto.

    Args:
        number: `DataType`.
        where: What has that type, for the error.

    Raises:
        UsageError: The type is none that is known here, such as a float8.
    """
    if number not in BY_NUMBER:
        raise UsageError(
            f"{where} has an unknown element type",
            why=f"number {number} of MIL's DataType",
            fix="convert it to float32 or float16",
        )
    return BY_NUMBER[number]
