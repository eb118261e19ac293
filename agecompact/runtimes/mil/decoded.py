"""The value of a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.program import TensorType


@dataclass(frozen=True)
class Decoded:
    """A constant's value.

    Attributes:
        type: As the program declares it.
        value: `type.dtype.numpy` of the declared shape; a text for a string.
    """

    type: TensorType
    value: Array | str

    @property
    def array(self) -> Array:
        """The value of a constant that is no string.

        Raises:
            UsageError: It is one.
        """
        if isinstance(self.value, str):
            raise UsageError("a text stands where the program needs numbers", why=repr(self.value))
        return self.value


Parameters = Mapping[str, Decoded]
