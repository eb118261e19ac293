"""The parameters that a kernel reads, with a record of which it has read.

A parameter that a kernel does not know would change what the op means. Therefore a kernel must read
every parameter, even one that another overrules; an unread parameter is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.program import Op
from agecompact.runtimes.mil.tensor_types import TensorType

# Tensors are float32 for every float type, int64 for every integer type, or bool. A value that was
# rounded to a narrower type keeps its wide type here.
Value = Tensor | str
Values = tuple[Value, ...]

_Scalar = TypeVar("_Scalar", bool, int, float)


class Parameters:
    """The parameters of one op in one run.

    Every method that reads a parameter raises `UsageError` if it has another type or length, or if
    it is missing and has no default.

    Args:
        op: The op.
        values: Values by parameter.
        opset: iOS version of the ops in the program: 15 for iOS 15.
    """

    def __init__(self, op: Op, values: Mapping[str, Values], opset: int) -> None:
        self._op = op
        self._values = values
        self._read: set[str] = set()
        self.opset = opset

    @property
    def declared(self) -> tuple[TensorType, ...]:
        """Types of the outputs that the program declares."""
        return tuple(output.type for output in self._op.outputs)

    def unread(self) -> frozenset[str]:
        """Parameters that the kernel has not read."""
        return frozenset(self._values) - self._read

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """The tensors of a parameter that takes several."""
        found = tuple(value for value in self._get(name) if not isinstance(value, str))
        if len(found) != len(self._values[name]):
            raise UsageError(f"{self._op}: '{name}' must be a tensor, not a string")
        return found

    def tensor(self, name: str) -> Tensor:
        """The tensor of a parameter."""
        found = self.tensors(name)
        if len(found) != 1:
            raise UsageError(f"{self._op} has {len(found)} values for '{name}', not one")
        return found[0]

    def optional(self, name: str) -> Tensor | None:
        """The tensor of a parameter; None if it is missing."""
        return self.tensor(name) if name in self._values else None

    def ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A vector of integers; a scalar counts as a vector of one."""
        if default is not None and name not in self._values:
            return list(default)
        found = self.tensor(name)
        if found.is_floating_point():
            raise UsageError(f"{self._op}: '{name}' must be integers")
        return [int(value) for value in found.reshape(-1).tolist()]

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer."""
        return self._scalar(name, default, int)

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        return self._scalar(name, default, float)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A bool."""
        return self._scalar(name, default, bool)

    def flags(self, name: str, length: int) -> list[bool]:
        """A vector of bools of a given length; all False by default."""
        found = [bool(value) for value in self.ints(name, [False] * length)]
        if len(found) != length:
            raise UsageError(f"{self._op} has {len(found)} values for '{name}', not {length}")
        return found

    def text(
        self, name: str, choices: Collection[str] | None = None, default: str | None = None
    ) -> str:
        """A string, one of the choices if there are any."""
        if default is not None and name not in self._values:
            return default
        values = self._get(name)
        if len(values) != 1 or not isinstance(value := values[0], str):
            raise UsageError(f"{self._op}: '{name}' must be a string")
        if choices is not None and value not in choices:
            raise UsageError(
                f"{self._op} has an unknown '{name}'",
                why=f"it is '{value}'; supported: {', '.join(choices)}",
            )
        return value

    def _get(self, name: str) -> Values:
        self._read.add(name)
        if name not in self._values:
            raise UsageError(f"{self._op} lacks the required parameter '{name}'")
        return self._values[name]

    def _scalar(self, name: str, default: _Scalar | None, kind: type[_Scalar]) -> _Scalar:
        if default is not None and name not in self._values:
            return default
        found = self.tensor(name)
        if found.numel() != 1:
            raise UsageError(f"{self._op} has {found.numel()} values for '{name}', not one")
        if kind is int and found.is_floating_point():
            raise UsageError(f"{self._op}: '{name}' must be an integer")
        return kind(found.item())
