"""Counts of what a data set holds: the result of `agecompact data check`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agecompact.data.face import GENDERS
from agecompact.data.splits import PARTS
from agecompact.data.survey import Survey


def audit(survey: Survey) -> dict[str, Any]:
    """Counts of a survey, and the names of all dropped files, as JSON values.

    Ages, genders and people (`subjects`, None if the data set does not name them) are those of the
    kept faces. Decades are in order, keyed by their first year. `framings` are the kinds by which
    pictures became chips; `parts` is empty if the data set has no split of its own.
    """
    labels = [face.label for face in survey.faces]
    ages = [label.age for label in labels]
    decades = Counter(age // 10 * 10 for age in ages)
    genders = Counter(GENDERS[label.gender] for label in labels)
    parts = Counter(label.part for label in labels if label.part is not None)
    people = {label.subject for label in labels if label.subject is not None}
    return {
        "schema_version": 1,
        "dataset": survey.dataset,
        "target": survey.target,
        "counts": survey.counts,
        "ages": {
            "youngest": min(ages),
            "oldest": max(ages),
            "decades": {str(first): decades[first] for first in sorted(decades)},
        },
        "genders": {name: genders[name] for name in GENDERS.values() if genders[name]},
        "subjects": len(people) or None,
        "framings": survey.framings,
        "parts": {part: parts[part] for part in PARTS if parts[part]},
        "dropped": {reason: list(names) for reason, names in survey.dropped.items()},
        "conflicts": [list(group) for group in survey.conflicts],
        "near_conflicts": [list(group) for group in survey.near_conflicts],
    }
