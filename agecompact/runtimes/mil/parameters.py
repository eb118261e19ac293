"""What a kernel reads of its op, with a record of what it read.

A parameter that a kernel does not know changes what the op means. So every parameter must be read,
even where another one overrules it, and one left over is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.program import Op, TensorType

# Tensors hold float32 for every float, int64 for every integer, and bool. What was rounded to a
# narrower type is a value of that type all the same.
Value = Tensor | str
Values = tuple[Value, ...]


class Parameters:
    """The parameters of one op in one run.

    Args:
        op: The op.
        values: Its parameters' values.
        opset: Of the program: 15 for iOS 15.
    """

    def __init__(self, op: Op, values: Mapping[str, Values], opset: int) -> None:
        self._op = op
        self._values = values
        self._read: set[str] = set()
        self.opset = opset

    @property
    def declared(self) -> tuple[TensorType, ...]:
        """What the program says that the op gives."""
        return tuple(output.type for output in self._op.outputs)

    def unread(self) -> frozenset[str]:
        """Parameters that the kernel did not ask for."""
        return frozenset(self._values) - self._read

    def has(self, name: str) -> bool:
        """Whether a parameter is given; asking does not count as reading."""
        return name in self._values

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """The tensors of a parameter that takes several.

        Raises:
            UsageError: It is missing, or one is a text.
        """
        self._read.add(name)
        if name not in self._values:
            raise UsageError(f"{self._op} has no parameter '{name}'", why="it cannot do without")
        found = []
        for value in self._values[name]:
            if isinstance(value, str):
                raise UsageError(f"{self._op} has the text '{value}' for '{name}'")
            found.append(value)
        return tuple(found)

    def tensor(self, name: str) -> Tensor:
        """The tensor of a parameter.

        Raises:
            UsageError: It is missing, a text, or several tensors.
        """
        found = self.tensors(name)
        if len(found) != 1:
            raise UsageError(f"{self._op} has {len(found)} values for '{name}'")
        return found[0]

    def optional(self, name: str) -> Tensor | None:
        """The tensor of a parameter, or None where it is not given."""
        return self.tensor(name) if self.has(name) else None

    def ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A vector of integers; a scalar is a vector of one.

        Raises:
            UsageError: It is missing and has no default, or is not whole.
        """
        if default is not None and not self.has(name):
            return list(default)
        return [int(value) for value in self._whole(name).reshape(-1).tolist()]

    def integer(self, name: str, default: int | None = None) -> int:
        """One integer.

        Raises:
            UsageError: It is missing and has no default, or is not one whole number.
        """
        if default is not None and not self.has(name):
            return default
        return int(self._single(name, self._whole(name)).item())

    def number(self, name: str, default: float | None = None) -> float:
        """One number.

        Raises:
            UsageError: It is missing and has no default, or is not one number.
        """
        if default is not None and not self.has(name):
            return default
        return float(self._single(name, self.tensor(name)).item())

    def flag(self, name: str, default: bool | None = None) -> bool:
        """One truth value.

        Raises:
            UsageError: It is missing and has no default, or is not one value.
        """
        if default is not None and not self.has(name):
            return default
        return bool(self._single(name, self.tensor(name)).item())

    def flags(self, name: str, length: int) -> list[bool]:
        """A vector of truth values, all false where it is not given.

        Raises:
            UsageError: It has another length.
        """
        if not self.has(name):
            return [False] * length
        found = [bool(value) for value in self.tensor(name).reshape(-1).tolist()]
        if len(found) != length:
            raise UsageError(f"{self._op} has {len(found)} values for '{name}', not {length}")
        return found

    def raw_text(self, name: str) -> str:
        """One text, whatever it says.

        Raises:
            UsageError: It is missing or no text.
        """
        self._read.add(name)
        values = self._values.get(name, ())
        if len(values) != 1 or not isinstance(values[0], str):
            raise UsageError(f"{self._op} has no text for '{name}'")
        return values[0]

    def text(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of several texts.

        Raises:
            UsageError: It is missing and has no default, or is none of them.
        """
        self._read.add(name)
        if default is not None and not self.has(name):
            return default
        values = self._values.get(name, ())
        if len(values) != 1 or values[0] not in choices:
            raise UsageError(
                f"{self._op} has an unknown '{name}'",
                why=f"it is {list(values)}, known are {', '.join(choices)}",
            )
        return str(values[0])

    def _whole(self, name: str) -> Tensor:
        found = self.tensor(name)
        if found.is_floating_point():
            raise UsageError(f"{self._op} has fractions for '{name}', which counts")
        return found

    def _single(self, name: str, found: Tensor) -> Tensor:
        if found.numel() != 1:
            raise UsageError(f"{self._op} has {found.numel()} values for '{name}', not one")
        return found
