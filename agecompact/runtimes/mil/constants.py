"""Finds the constants of a program, and decompresses those that are compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agecompact.errors import UsageError
from agecompact.runtimes.mil.constexpr import PREFIX, decompress
from agecompact.runtimes.mil.program import Op, Program
from agecompact.runtimes.mil.tensor_types import ConstantValue

_CONST = "const"


@dataclass(frozen=True)
class ConstantRef:
    """A constant that an op reads.

    Attributes:
        value: Decompressed.
        compression: Name of its compression, such as `lut_to_dense`; empty for a plain constant.
        parts: Parameters of the compression, by name; empty for a plain constant.
    """

    value: ConstantValue
    compression: str = ""
    parts: Mapping[str, ConstantValue] = field(default_factory=dict)


def is_constant(op: Op) -> bool:
    """Whether an op only makes a constant."""
    return op.kind == _CONST or op.kind.startswith(PREFIX)


def constants_of(program: Program) -> dict[str, ConstantRef]:
    """All constants of a program by name, without those that are written in place.

    Raises:
        UsageError: A constant is broken, or its compression is not supported.
    """
    found: dict[str, ConstantRef] = {}
    for op in filter(is_constant, program.ops):
        parts = {name: _constant(op, name, found) for name in op.parameters}
        if op.kind != _CONST:
            compression, values = op.kind.removeprefix(PREFIX), decompress(op, parts)
        elif parts.keys() == {"val"}:
            compression, values, parts = "", (parts["val"],), {}
        else:
            raise UsageError(f"{op} is broken", why=f"its parameters are {', '.join(parts)}")
        for output, value in zip(op.outputs, values, strict=True):
            if output.type != value.type:
                raise UsageError(
                    f"the value of {op} does not have its declared type",
                    why=f"declared {output.type}, got {value.type}",
                    fix="export the package again, or copy it again",
                )
            found[output.name] = ConstantRef(value, compression, parts)
    return found


def _constant(op: Op, parameter: str, known: Mapping[str, ConstantRef]) -> ConstantValue:
    sources = op.parameters[parameter]
    if len(sources) != 1:
        raise UsageError(f"{op} has {len(sources)} values for '{parameter}', not one")
    (source,) = sources
    if not isinstance(source, str):
        return source
    if source not in known:
        raise UsageError(f"{op} reads '{source}', which is not a constant")
    return known[source].value
