"""How far an artefact may stray from PyTorch, as data: `tolerances.toml`, or a user's file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agecompact.contract import Unit
from agecompact.errors import UsageError, unknown_name

DEFAULTS = Path(__file__).with_name("tolerances.toml")

# An age network's answers span about a century; a score's, 1. A gate for scores is the same share
# of its span.
_YEARS_PER_SCORE = 100.0

# Between inputs as different as black, noise and a face, a working network's answers differ by
# years; the classic answer of 33.5 for every face, by nothing.
MIN_SPREAD_YEARS = 0.05

_CONDITIONS = ("format", "precision", "runtime", "model")


@dataclass(frozen=True)
class Tolerance:
    """The gates of one artefact, in the output's unit.

    Attributes:
        max: Greatest error over the fixed inputs.
        searched: Greatest error that the search comes to.
        p99: 99th percentile of the error.
        mean: Mean error.
        mae: |MAE(artefact) - MAE(PyTorch)| on labelled faces.
        reason: Why these figures.
    """

    max: float
    searched: float
    p99: float
    mean: float
    mae: float
    reason: str


@dataclass(frozen=True)
class Growth:
    """How much an error may grow over a baseline's.

    Attributes:
        factor: Times the baseline's error.
        share: Of the tolerance; an error grew only if it did by both.
        reason: Why these figures.
    """

    factor: float
    share: float
    reason: str


@dataclass(frozen=True)
class _Rule:
    conditions: Mapping[str, str]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Tolerances:
    """All rules, the user's after the defaults."""

    rules: tuple[_Rule, ...]
    growth: Growth

    def of(self, *, unit: Unit, **artifact: str) -> Tolerance:
        """The gates of one artefact.

        Args:
            unit: Of its output; the rules are in years.
            **artifact: Its `format`, `precision`, `runtime` and `model`.
        """
        values: dict[str, Any] = {}
        for rule in self.rules:
            if all(artifact.get(name) == wanted for name, wanted in rule.conditions.items()):
                values.update(rule.values)
        return in_units(Tolerance(**values), unit)


def in_units(years: Tolerance, unit: Unit) -> Tolerance:
    """Gates in years as gates in the output's unit."""
    if unit == "years":
        return years
    return replace(
        years,
        **{
            field.name: getattr(years, field.name) / _YEARS_PER_SCORE
            for field in fields(Tolerance)
            if field.type == "float"
        },
    )


def min_spread(unit: Unit) -> float:
    """The least standard deviation of the answers of a network that looks at its input."""
    return MIN_SPREAD_YEARS if unit == "years" else MIN_SPREAD_YEARS / _YEARS_PER_SCORE


def load(override: Path | None = None) -> Tolerances:
    """The defaults, and after them a user's rules.

    Raises:
        UsageError: The user's file is missing, no TOML, or says what cannot be.
    """
    rules, growth = _read(DEFAULTS)
    assert growth is not None
    if override is not None:
        more, other = _read(override)
        rules, growth = rules + more, other or growth
    return Tolerances(rules, growth)


def _read(path: Path) -> tuple[tuple[_Rule, ...], Growth | None]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"no tolerances in {path}", why=str(error)) from None
    for name in content:
        if name not in ("rule", "baseline"):
            raise unknown_name(f"table in {path}", name, ("rule", "baseline"))
    try:
        rules = tuple(_rule(dict(each), path) for each in content.get("rule", []))
        baseline = content.get("baseline")
        return rules, Growth(**_checked(baseline, Growth, path)) if baseline else None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} says what cannot be a tolerance", why=str(error)) from None


def _rule(each: dict[str, Any], path: Path) -> _Rule:
    conditions = {name: each.pop(name) for name in _CONDITIONS if name in each}
    for name, wanted in conditions.items():
        if not isinstance(wanted, str):
            raise TypeError(f"'{name}' is {wanted!r}, not a name")
    return _Rule(conditions, _checked(each, Tolerance, path))


def _checked(values: dict[str, Any], kind: type, path: Path) -> dict[str, Any]:
    known = {field.name: field.type for field in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"field in {path}", name, [*known, *_CONDITIONS])
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if known[name] == "str" and not isinstance(value, str):
            raise TypeError(f"'{name}' is {value!r}, not a text")
        if known[name] == "float" and not (number and math.isfinite(value) and value >= 0):
            raise ValueError(f"'{name}' is {value!r}, not a figure of zero or more")
    return values
