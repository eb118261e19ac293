"""Frozen dataclasses whose fields are checked against their annotations.

Records travel between machines, and from Swift to Python. A value of the wrong type, a NaN, or a 0
that means "failed" is rejected when the record is made, not noticed later in a table.
"""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from agecompact.errors import UsageError


@dataclass(frozen=True)
class Range:
    """Bounds of a number: `above` is exclusive, `at_least` and `at_most` are inclusive."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Pattern:
    """A regular expression that must match the whole text."""

    expression: str


Ms = Annotated[float, Range(above=0)]
Seconds = Annotated[float, Range(above=0)]
Megahertz = Annotated[float, Range(above=0)]
Celsius = Annotated[float, Range(at_least=-40, at_most=150)]
NotNegative = Annotated[float, Range(at_least=0)]
Positive = Annotated[float, Range(above=0)]
Count = Annotated[int, Range(at_least=0)]
AtLeastOne = Annotated[int, Range(at_least=1)]
Text = Annotated[str, Pattern(r"[^\x00]*\S[^\x00]*")]
Sha256 = Annotated[str, Pattern(r"[0-9a-f]{64}")]
Hexadecimal = Annotated[str, Pattern(r"[0-9a-f]+")]


@dataclass(frozen=True)
class Checked:
    """Base of dataclasses that check their fields on construction.

    Raises:
        UsageError: A field does not match its annotation.
    """

    def __post_init__(self) -> None:
        for name, hint in hints_of(cast(Any, type(self))).items():
            _check(getattr(self, name), hint, f"{type(self).__name__}.{name}")

    def refuse(self, what: str, why: str = "") -> None:
        """Rejects fields that contradict each other.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{type(self).__name__}: {what}", why=why)


@cache
def hints_of(kind: Any) -> Mapping[str, Any]:
    """Evaluated annotations of a dataclass, by field name."""
    from typing import get_type_hints

    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def optional(hint: Any) -> Any | None:
    """The `X` of `X | None`; None for any other annotation."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (arm for arm in get_args(hint) if arm is not type(None))
        return inner
    return None


def _check(value: Any, hint: Any, where: str) -> None:
    if get_origin(hint) is Annotated:
        base, *limits = get_args(hint)
        _check(value, base, where)
        for limit in limits:
            _check_limit(value, limit, where)
    elif (inner := optional(hint)) is not None:
        if value is not None:
            _check(value, inner, where)
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UsageError(
                f"{where} is {reprlib.repr(value)}", why=f"known: {', '.join(get_args(hint))}"
            )
    elif get_origin(hint) is tuple:
        _check_type(value, (tuple,), where)
        for i, item in enumerate(value):
            _check(item, get_args(hint)[0], f"{where}[{i}]")
    elif isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        _check_type(value, (Mapping,), where)
        for name, item in value.items():
            _check(name, str, where)
            _check(item, get_args(hint)[1], f"{where}[{name!r}]")
    else:
        _check_type(value, (int, float) if hint is float else (hint,), where)
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where} is {reprlib.repr(value)}", why="an unknown number is null")


def _check_type(value: Any, allowed: tuple[type, ...], where: str) -> None:
    # In Python a bool is an int; here it is never a number.
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        wanted = " or ".join(kind.__name__ for kind in allowed)
        raise UsageError(f"{where} is {reprlib.repr(value)}", why=f"it should be {wanted}")


def _check_limit(value: Any, limit: Range | Pattern, where: str) -> None:
    if isinstance(limit, Pattern):
        if not re.fullmatch(limit.expression, value):
            raise UsageError(
                f"{where} is {reprlib.repr(value)}", why=f"it does not match {limit.expression}"
            )
        return
    if limit.above is not None and not value > limit.above:
        raise UsageError(
            f"{where} is {reprlib.repr(value)}", why=f"not above {limit.above:g}; null if unknown"
        )
    if limit.at_least is not None and not value >= limit.at_least:
        raise UsageError(f"{where} is {reprlib.repr(value)}", why=f"less than {limit.at_least:g}")
    if limit.at_most is not None and not value <= limit.at_most:
        raise UsageError(f"{where} is {reprlib.repr(value)}", why=f"more than {limit.at_most:g}")
