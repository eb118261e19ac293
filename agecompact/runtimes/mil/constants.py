"""Finds the constants of a program, and decompresses those that are compressed."""

from __future__ import annotations

from collections.abc import Mapping

from agecompact.errors import UsageError
from agecompact.runtimes.mil.constexpr import PREFIX, decompress
from agecompact.runtimes.mil.program import Op, Program
from agecompact.runtimes.mil.tensor_types import ConstantValue

_CONST = "const"


def is_constant(op: Op) -> bool:
    """Whether an op only makes a constant."""
    return op.kind == _CONST or op.kind.startswith(PREFIX)


def compression_of(op: Op) -> str:
    """Compression of a constant op, such as `lut_to_dense`; empty for a plain constant."""
    return op.kind.removeprefix(PREFIX) if op.kind != _CONST else ""


def constants_of(program: Program) -> dict[str, ConstantValue]:
    """All constants of a program by name, decompressed.

    Raises:
        UsageError: A constant is broken, or its compression is not supported.
    """
    known: dict[str, ConstantValue] = {}
    for op in filter(is_constant, program.ops):
        parts = constant_parts(op, known)
        if op.kind != _CONST:
            values = decompress(op, parts)
        elif parts.keys() == {"val"}:
            values = (parts["val"],)
        else:
            raise UsageError(f"{op} is broken", why=f"its parameters are {', '.join(parts)}")
        for output, value in zip(op.outputs, values, strict=True):
            if output.type != value.type:
                raise UsageError(
                    f"the value of {op} does not have its declared type",
                    why=f"declared {output.type}, got {value.type}",
                    fix="export the package again, or copy it again",
                )
            known[output.name] = value
    return known


def constant_parts(op: Op, known: Mapping[str, ConstantValue]) -> dict[str, ConstantValue]:
    """The parameters of a constant op, by name.

    Args:
        op: A `const` or `constexpr_*` op.
        known: Constants of the ops before it, by name.

    Raises:
        UsageError: A parameter has several values or is not a constant.
    """
    parts = {}
    for name, sources in op.parameters.items():
        if len(sources) != 1:
            raise UsageError(f"{op} has {len(sources)} values for '{name}', not one")
        (source,) = sources
        if isinstance(source, str) and source not in known:
            raise UsageError(f"{op} reads '{source}', which is not a constant")
        parts[name] = known[source] if isinstance(source, str) else source
    return parts
