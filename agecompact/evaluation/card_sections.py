"""The sections of a model card that come from an evaluation: figures, and groups with a high error.

Both are computed from a measurement and never written by hand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from agecompact.evaluation.bootstrap import Interval
from agecompact.evaluation.evaluate import Evaluation
from agecompact.evaluation.metrics import (
    AgeFigures,
    AgeMetrics,
    Figure,
    GenderFigures,
    Metrics,
    intervals_json,
    values_json,
)

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
    """A group of faces on which a model is known to fail.

    Attributes:
        by: What the faces are grouped by.
        name: The decade's first year, or the gender.
        n: Number of faces.
        figure: What `value` is: `mae_years`, or `error_rate` for a gender model.
        value: The group's error.
        interval: Its interval; None for a single face.
        bias_years: Mean of prediction minus label; None for a gender model.
        reasons: The conditions of the rule that hold.
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
    """The rule that `failure_groups` applies, as text."""
    return _AGE_RULE if isinstance(metrics, AgeMetrics) else _GENDER_RULE


def failure_groups(metrics: Metrics) -> tuple[FailureGroup, ...]:
    """The groups that fail by `failure_rule`: decades first, each in order."""
    overall = _error(metrics).value
    groups = [
        *(_group("decade", str(start), each, overall) for start, each in metrics.decades.items()),
        *(_group("gender", name, each, overall) for name, each in metrics.genders.items()),
    ]
    return tuple(group for group in groups if group.reasons)


def sections(
    evaluation: Evaluation, *, dataset: str, part: str, split_sha256: str | None
) -> dict[str, Any]:
    """The card's `evaluation` and `failure_groups`, as JSON values.

    Args:
        evaluation: The evaluation.
        dataset: Id of the data set.
        part: The part of the split it was measured on, or `all`.
        split_sha256: Hash of the split; None for the whole of a data set with several folds.
    """
    metrics = evaluation.metrics
    return {
        "evaluation": {
            "dataset": dataset,
            "part": part,
            "split_sha256": split_sha256,
            "unreadable": evaluation.predictions.unreadable,
            **values_json(metrics),
            "intervals": {
                "method": "percentile bootstrap over faces",
                **asdict(evaluation.bootstrap),
                **intervals_json(metrics),
            },
        },
        "failure_groups": {
            "rule": failure_rule(metrics),
            "groups": [asdict(group) for group in failure_groups(metrics)],
        },
    }


def _error(figures: AgeFigures | GenderFigures) -> Figure:
    """MAE in years, or the error rate of a gender model."""
    if isinstance(figures, AgeFigures):
        return figures.mae_years
    accuracy, interval = figures.accuracy.value, figures.accuracy.interval
    wrong = Interval(1 - interval.high, 1 - interval.low) if interval else None
    return Figure(1 - accuracy, wrong)


def _group(by: By, name: str, figures: AgeFigures | GenderFigures, overall: float) -> FailureGroup:
    error = _error(figures)
    bias = figures.bias_years.value if isinstance(figures, AgeFigures) else None
    reasons: list[Reason] = []
    if error.interval and error.interval.low > ERROR_FACTOR * overall:
        reasons.append("error")
    if bias is not None and abs(bias) > BIAS_YEARS:
        reasons.append("bias")
    figure: Literal["mae_years", "error_rate"] = "error_rate" if bias is None else "mae_years"
    return FailureGroup(
        by, name, figures.n, figure, error.value, error.interval, bias, tuple(reasons)
    )
