"""What a card says of a model's error: figures with intervals, and the groups it fails on.

Both sections are computed from a measurement and never written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from agecompact.evaluation.bootstrap import Interval
from agecompact.evaluation.evaluate import Evaluation
from agecompact.evaluation.metrics import AgeGroup, AgeMetrics, GenderGroup, Intervals, Metrics

ERROR_FACTOR = 1.5
BIAS_YEARS = 5.0

By = Literal["decade", "gender"]
Reason = Literal["error", "bias"]

_GROUPS = "A decade of true age or a gender"
_AGE_RULE = (
    f"{_GROUPS} whose MAE has its interval wholly above {ERROR_FACTOR:g} times the overall MAE "
    f"(reason 'error'), or whose bias exceeds {BIAS_YEARS:g} years either way (reason 'bias')."
)
_GENDER_RULE = (
    f"{_GROUPS} whose error rate has its interval wholly above {ERROR_FACTOR:g} times the overall "
    "error rate (reason 'error')."
)


@dataclass(frozen=True)
class FailureGroup:
    """Faces on which a model is known to fail.

    Attributes:
        by: What the group is of.
        name: The decade's first year, or the gender.
        n: Faces measured.
        figure: What `value` is: `mae_years`, or `error_rate` of a gender model.
        value: The group's error.
        interval: Its interval; None for a single face.
        bias_years: Mean of answer less truth; None of a gender model.
        reasons: Which halves of the rule hold.
    """

    by: By
    name: str
    n: int
    figure: Literal["mae_years", "error_rate"]
    value: float
    interval: Interval | None
    bias_years: float | None
    reasons: tuple[Reason, ...]


def failure_rule(metrics: Metrics) -> str:
    """The rule by which `failure_groups` tells, in words."""
    return _AGE_RULE if isinstance(metrics, AgeMetrics) else _GENDER_RULE


def failure_groups(metrics: Metrics, intervals: Intervals) -> tuple[FailureGroup, ...]:
    """The groups that fail by `failure_rule`: decades first, each in order."""
    overall = metrics.mae_years if isinstance(metrics, AgeMetrics) else 1 - metrics.accuracy
    found = []
    for group in _groups(metrics, intervals):
        reasons: list[Reason] = []
        if group.interval and group.interval.low > ERROR_FACTOR * overall:
            reasons.append("error")
        if group.bias_years is not None and abs(group.bias_years) > BIAS_YEARS:
            reasons.append("bias")
        if reasons:
            found.append(replace(group, reasons=tuple(reasons)))
    return tuple(found)


def sections(
    evaluation: Evaluation, *, dataset: str, part: str, split_sha256: str
) -> dict[str, Any]:
    """The card's `evaluation` and `failure_groups`, as JSON values.

    Args:
        evaluation: What was measured.
        dataset: Id of the data set.
        part: Which part of the split, or `all`.
        split_sha256: Hash of the split.
    """
    metrics, intervals, bootstrap = evaluation.metrics, evaluation.intervals, evaluation.bootstrap
    groups = [asdict(group) for group in failure_groups(metrics, intervals)]
    return {
        "evaluation": {
            "dataset": dataset,
            "part": part,
            "split_sha256": split_sha256,
            "unreadable": evaluation.predictions.unreadable,
            **metrics.to_json(),
            "intervals": {
                "method": "percentile bootstrap over faces",
                **asdict(bootstrap),
                **intervals.to_json(),
            },
        },
        "failure_groups": {"rule": failure_rule(metrics), "groups": groups},
    }


def _groups(metrics: Metrics, intervals: Intervals) -> Iterator[FailureGroup]:
    """Every group, with no reason yet."""
    for start, decade in metrics.decades.items():
        yield _group("decade", str(start), decade, intervals.decades[start])
    for name, gender in metrics.genders.items():
        yield _group("gender", name, gender, intervals.genders[name])


def _group(
    by: By, name: str, group: AgeGroup | GenderGroup, interval: Interval | None
) -> FailureGroup:
    if isinstance(group, AgeGroup):
        error, bias = group.mae_years, group.bias_years
        return FailureGroup(by, name, group.n, "mae_years", error, interval, bias, ())
    wrong = Interval(1 - interval.high, 1 - interval.low) if interval else None
    return FailureGroup(by, name, group.n, "error_rate", 1 - group.accuracy, wrong, None, ())
