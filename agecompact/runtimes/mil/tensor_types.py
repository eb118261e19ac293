"""Element types, tensor types and decoded constants of MIL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array

Kind = Literal["float", "int", "bool", "string"]


@dataclass(frozen=True)
class DType:
    """An element type.

    Attributes:
        name: As MIL's `cast` spells it.
        kind: The arithmetic that it takes part in.
        bits: Of one stored element. Below 8, elements are packed, least significant bit first.
        number: In `DataType` of MIL.proto.
        blob: Code in the records of `weight.bin`; None if blobs cannot hold it.
        numpy: Of one unpacked element.
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


@dataclass(frozen=True)
class TensorType:
    """Type of a tensor.

    Attributes:
        dtype: Of its elements.
        shape: None for a size that is only known at run time; None as a whole if even the rank is.
    """

    dtype: DType
    shape: tuple[int | None, ...] | None

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape of a constant.

        Raises:
            UsageError: A size is unknown.
        """
        if self.shape is None or any(size is None for size in self.shape):
            raise UsageError("a constant has no fixed shape", why=f"its type is {self}")
        return tuple(size for size in self.shape if size is not None)

    @property
    def elements(self) -> int:
        """Number of elements of a constant; 1 for a scalar."""
        return math.prod(self.static_shape)

    def admits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of a shape can have this type."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            known is None or known == size for known, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype.name}[...]"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype.name}[{sizes}]"


# Constants are equal only if they are the same object.
@dataclass(frozen=True, eq=False)
class ConstantValue:
    """The value of a constant.

    Attributes:
        type: As the program declares it.
        value: `type.dtype.numpy` of the declared shape; a str for a string.
    """

    type: TensorType
    value: Array | str

    @property
    def array(self) -> Array:
        """The value of a constant that is not a string.

        Raises:
            UsageError: It is a string.
        """
        if isinstance(self.value, str):
            raise UsageError("a constant must be numeric", why=f"it is the string {self.value!r}")
        return self.value
