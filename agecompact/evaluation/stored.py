"""Evaluations that were stored: in the card of weights, or by `evaluate --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError
from agecompact.evaluation.bootstrap import Interval
from agecompact.files import read_json
from agecompact.serialization import structure

_FIX = "write it again: agecompact evaluate --artifact FILE --data FOLDER --json evaluation.json"


@dataclass(frozen=True)
class StoredGroup:
    """The headline figure over some faces.

    Attributes:
        n: Number of faces.
        value: The figure.
        interval: Its 95 % interval; None for a single face.
        bias_years: Mean of prediction minus label; None for a gender model.
    """

    n: int
    value: float
    interval: Interval | None
    bias_years: float | None


@dataclass(frozen=True)
class Stored:
    """An evaluation.

    Attributes:
        figure: `MAE, years`, or `accuracy` for a gender model.
        dataset: Id of the data set.
        part: The part of the split, or `all`.
        overall: The figure over all faces.
        decades: By the first year of each decade of true age.
        file: Name of the file that was measured; empty for the weights of a card.
        sha256: Its hash, likewise None.
        warnings: Reasons to doubt the figures.
    """

    figure: str
    dataset: str
    part: str
    overall: StoredGroup
    decades: Mapping[int, StoredGroup]
    file: str = ""
    sha256: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Measured:
    file: str
    sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    n: int
    mae_years: float | None = None
    accuracy: float | None = None
    bias_years: float | None = None


@dataclass(frozen=True)
class _Figures:
    dataset: str
    part: str
    overall: _Group
    overall_interval: Interval | None
    decades: Mapping[str, _Group]
    decade_intervals: Mapping[str, Interval | None]


def of_card(card: Mapping[str, Any]) -> Stored:
    """The evaluation in a card.

    Raises:
        UsageError: It is not one.
    """
    return _stored(card["evaluation"], "the evaluation of a card", None)


def read(path: Path) -> Stored:
    """Reads what `evaluate --json` wrote.

    Raises:
        UsageError: The file is missing, or is not an evaluation.
    """
    content = read_json(path, what="evaluation", fix=_FIX)
    where = f"evaluation {path}"
    if not isinstance(content, Mapping) or content.get("schema_version") != 1:
        raise UsageError(f"cannot read {where}", why="its schema version is not 1", fix=_FIX)
    measured = content.get("measured")
    picked = _pick(measured, "file", "sha256") | {"warnings": content.get("warnings")}
    return _stored(
        content.get("evaluation"), where, structure(picked, _Measured, where=where, fix=_FIX)
    )


def _stored(content: Any, where: str, measured: _Measured | None) -> Stored:
    headline = "mae_years" if "mae_years" in _mapping(content) else "accuracy"
    intervals = _mapping(_mapping(content).get("intervals"))
    found = structure(
        {
            **_pick(content, "dataset", "part", "decades"),
            "overall": _pick(content, "n", headline, "bias_years"),
            "overall_interval": intervals.get(headline),
            "decade_intervals": intervals.get("decades"),
        },
        _Figures,
        where=where,
        fix=_FIX,
    )
    try:
        decades = {
            int(start): _group(group, headline, found.decade_intervals.get(start))
            for start, group in found.decades.items()
        }
        overall = _group(found.overall, headline, found.overall_interval)
    except ValueError as error:
        raise UsageError(f"cannot read {where}", why=str(error), fix=_FIX) from None
    return Stored(
        figure="MAE, years" if headline == "mae_years" else headline,
        dataset=found.dataset,
        part=found.part,
        overall=overall,
        decades=dict(sorted(decades.items())),
        file=measured.file if measured else "",
        sha256=measured.sha256 if measured else None,
        warnings=measured.warnings if measured else (),
    )


def _group(group: _Group, headline: str, interval: Interval | None) -> StoredGroup:
    value: float | None = getattr(group, headline)
    if value is None:
        raise ValueError(f"a group has no {headline}")
    return StoredGroup(group.n, value, interval, group.bias_years)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pick(value: Any, *names: str) -> dict[str, Any]:
    return {name: each for name, each in _mapping(value).items() if name in names}
