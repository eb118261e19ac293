"""What there is in a data set, as figures: the result of `agecompact data check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from agecompact.data.survey import Survey

SCHEMA_VERSION = 1

_GENDERS = {0: "female", 1: "male", None: "unknown"}


@dataclass(frozen=True)
class Audit:
    """Figures of a survey; ages, genders and people are those of the faces that were kept.

    Attributes:
        survey: Of the data set.
        youngest: Years.
        oldest: Years.
        decades: Faces by the first year of their decade of age.
        genders: Faces by gender.
        subjects: How many people there are, or None where the data set does not say.
    """

    survey: Survey
    youngest: int
    oldest: int
    decades: dict[int, int]
    genders: dict[str, int]
    subjects: int | None

    def to_json(self) -> dict[str, Any]:
        """All figures, and the names of all that was dropped, by why."""
        survey = self.survey
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": survey.dataset,
            "target": survey.target,
            "counts": survey.counts,
            "ages": {
                "youngest": self.youngest,
                "oldest": self.oldest,
                "decades": {str(first): count for first, count in self.decades.items()},
            },
            "genders": self.genders,
            "subjects": self.subjects,
            "dropped": {why: list(names) for why, names in survey.dropped.items()},
            "conflicts": [list(group) for group in survey.conflicts],
            "near_conflicts": [list(group) for group in survey.near_conflicts],
        }


def audit(survey: Survey) -> Audit:
    """Counts the faces of a survey by what is known of them."""
    labels = [face.label for face in survey.faces]
    ages = [label.age for label in labels]
    genders = Counter(_GENDERS[label.gender] for label in labels)
    people = {label.subject for label in labels if label.subject is not None}
    return Audit(
        survey=survey,
        youngest=min(ages),
        oldest=max(ages),
        decades=dict(sorted(Counter(age // 10 * 10 for age in ages).items())),
        genders={name: genders[name] for name in _GENDERS.values() if genders[name]},
        subjects=len(people) or None,
    )
