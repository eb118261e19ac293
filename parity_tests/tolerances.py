"""How much an artefact's error may be, as data: `tolerances.toml`, or a user's file."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agecompact.artifacts.parity import Tolerance
from agecompact.checked import Checked, NotNegative
from agecompact.errors import unknown_name
from agecompact.formats import FORMATS, RUNTIMES
from agecompact.models import project
from agecompact.precisions import PRECISIONS
from agecompact.serialization import read_toml, structure
from parity_tests.spans import SPANS

DEFAULTS = Path(__file__).with_name("tolerances.toml")

_YEARS = SPANS["years"].width

_WHAT = "tolerances"


@dataclass(frozen=True)
class AllowedGrowth(Checked):
    """How much an error may grow over a baseline's.

    Attributes:
        factor: Multiple of the baseline's error.
        share: Share of the tolerance. An error has grown only if it exceeds both limits.
        reason: Why these values.
    """

    factor: NotNegative
    share: NotNegative
    reason: str


@dataclass(frozen=True)
class Rule(Checked):
    """Gates in years, and the artefacts that they apply to; None leaves a field open.

    A name may be a pattern, such as `htp-*` for every generation of the NPU.
    """

    format: str | None = None
    precision: str | None = None
    runtime: str | None = None
    model: str | None = None
    max: NotNegative | None = None
    searched: NotNegative | None = None
    p99: NotNegative | None = None
    mean: NotNegative | None = None
    mae: NotNegative | None = None
    flips: NotNegative | None = None
    reason: str | None = None

    def applies_to(self, **artifact: str) -> bool:
        """Whether an artefact has all that the rule names."""
        patterns = {name: getattr(self, name) for name in artifact}
        return all(
            pattern is None or fnmatch.fnmatchcase(artifact[name], pattern)
            for name, pattern in patterns.items()
        )

    def gates(self) -> dict[str, Any]:
        """The fields of `Tolerance` that the rule sets."""
        values = {field.name: getattr(self, field.name) for field in fields(Tolerance)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class _File:
    rule: tuple[Rule, ...] = ()
    baseline: AllowedGrowth | None = None


@dataclass(frozen=True)
class Tolerances:
    """All rules, the user's after the defaults.

    Attributes:
        rules: The rules; where several apply, the later one wins, field by field.
        growth: How much an error may grow over a baseline's.
    """

    rules: tuple[Rule, ...]
    growth: AllowedGrowth

    def of(
        self, *, width: float, format: str, precision: str, runtime: str, model: str
    ) -> Tolerance:
        """The gates of one artefact.

        Args:
            width: Width of the span of its output, in the unit in which the gates are returned. The
                rules are in years; gates of another unit are the same shares of its span.
            format: Its format.
            precision: Precision of its weights.
            runtime: Runtime that runs it.
            model: Id of its model.
        """
        gates: dict[str, Any] = {}
        for rule in self.rules:
            if rule.applies_to(format=format, precision=precision, runtime=runtime, model=model):
                gates |= rule.gates()
        return _scaled(Tolerance(**gates), width / _YEARS)


def _scaled(years: Tolerance, factor: float) -> Tolerance:
    # A share of faces has no unit.
    names = [f.name for f in fields(Tolerance) if f.name not in ("reason", "flips")]
    gates = {name: getattr(years, name) for name in names}
    return replace(years, **{name: gate * factor for name, gate in gates.items()})


_FIX = (
    f"a [[rule]] may have: {', '.join(field.name for field in fields(Rule))}; [baseline] has: "
    "factor, share, reason"
)


def with_projects(tolerances: Tolerances) -> Tolerances:
    """Adds the gates of the active project files, each for its own model.

    They come after the defaults and before those of the user's file.

    Raises:
        UsageError: One of them is invalid.
    """
    rules = tuple(
        replace(rule, model=name)
        for name, each in project.active().items()
        for rule in _rules(each)
    )
    defaults = len(_read(DEFAULTS).rule)
    given = tolerances.rules
    return replace(tolerances, rules=(*given[:defaults], *rules, *given[defaults:]))


def _rules(owner: project.Project) -> tuple[Rule, ...]:
    content = {"rule": [dict(table) for table in owner.tolerances]}
    return _file(content, str(owner.path)).rule


def load(override: Path | None = None) -> Tolerances:
    """The default rules, followed by a user's.

    Raises:
        UsageError: The user's file is missing, is not TOML, or contains an invalid rule or one for
            an unknown format, precision or runtime.
    """
    defaults = _read(DEFAULTS)
    assert defaults.baseline is not None
    user = _File() if override is None else _read(override)
    return Tolerances(defaults.rule + user.rule, user.baseline or defaults.baseline)


def _read(path: Path) -> _File:
    return _file(read_toml(path, what=_WHAT, fix=_FIX), str(path))


def _file(content: Mapping[str, Any], path: str) -> _File:
    file = structure(content, _File, where=f"{_WHAT} {path}", fix=_FIX)
    for rule in file.rule:
        for kind, name, known in (
            ("format", rule.format, FORMATS),
            ("precision", rule.precision, PRECISIONS),
            ("runtime", rule.runtime, RUNTIMES),
        ):
            # A rule with a misspelt condition would never apply.
            if name is not None and not fnmatch.filter(known, name):
                raise unknown_name(f"{kind} in {path}", name, known)
    return file
