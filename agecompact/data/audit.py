"""Counts of what a data set holds: the result of `agecompact data check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agecompact.data.face import Target
from agecompact.data.survey import Survey

_GENDERS = {0: "female", 1: "male", None: "unknown"}


@dataclass(frozen=True)
class Ages:
    """Ages of the kept faces.

    Attributes:
        youngest: Years.
        oldest: Years.
        decades: Number of faces by decade of age, keyed by its first year, in order.
    """

    youngest: int
    oldest: int
    decades: Mapping[str, int]


@dataclass(frozen=True)
class Audit:
    """Counts of a survey.

    Attributes:
        dataset: Id of the data set.
        target: What the labels had to agree on.
        counts: `Survey.counts`.
        ages: Ages of the kept faces.
        genders: Number of kept faces by gender.
        subjects: Number of people among the kept faces; None if the data set does not say.
        dropped: `Survey.dropped`.
        conflicts: `Survey.conflicts`.
        near_conflicts: `Survey.near_conflicts`.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    dataset: str
    target: Target
    counts: Mapping[str, int]
    ages: Ages
    genders: Mapping[str, int]
    subjects: int | None
    dropped: Mapping[str, tuple[str, ...]]
    conflicts: tuple[tuple[str, ...], ...]
    near_conflicts: tuple[tuple[str, ...], ...]


def audit(survey: Survey) -> Audit:
    """Counts the faces of a survey by their labels."""
    labels = [face.label for face in survey.faces]
    ages = [label.age for label in labels]
    decades = Counter(age // 10 * 10 for age in ages)
    genders = Counter(_GENDERS[label.gender] for label in labels)
    people = {label.subject for label in labels if label.subject is not None}
    return Audit(
        dataset=survey.dataset,
        target=survey.target,
        counts=survey.counts,
        ages=Ages(min(ages), max(ages), {str(first): decades[first] for first in sorted(decades)}),
        genders={name: genders[name] for name in _GENDERS.values() if genders[name]},
        subjects=len(people) or None,
        dropped=survey.dropped,
        conflicts=survey.conflicts,
        near_conflicts=survey.near_conflicts,
    )
