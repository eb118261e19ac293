"""What an evaluation measured, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from agecompact.evaluation.bootstrap import Interval
from agecompact.evaluation.card_sections import FailureGroup
from agecompact.evaluation.metrics import (
    AgeGroup,
    AgeIntervals,
    AgeMetrics,
    GenderGroup,
    GenderIntervals,
    Intervals,
    Metrics,
)


def metrics_table(title: str, metrics: Metrics, intervals: Intervals | None = None) -> Table:
    """The figures over all faces, for people."""
    table = Table("metric", "value", "95 % interval", title=title)
    if not isinstance(metrics, AgeMetrics):
        assert intervals is None or isinstance(intervals, GenderIntervals)
        span = intervals.accuracy if intervals else None
        table.add_row("faces", str(metrics.n))
        table.add_row("accuracy", f"{metrics.accuracy:.4f}", _interval(span, 4))
        table.add_row("answering one gender always", f"{metrics.majority_accuracy:.4f}")
        return table
    assert intervals is None or isinstance(intervals, AgeIntervals)
    table.add_row("faces", str(metrics.n))
    for name, value, span in (
        ("MAE", metrics.mae_years, intervals.mae_years if intervals else None),
        ("RMSE", metrics.rmse_years, intervals.rmse_years if intervals else None),
        ("bias", metrics.bias_years, intervals.bias_years if intervals else None),
    ):
        table.add_row(name, f"{value:.3f} years", _interval(span, 3))
    for years, fraction in metrics.ca.items():
        span = intervals.ca[years] if intervals else None
        table.add_row(f"CA({years})", f"{fraction:.4f}", _interval(span, 4))
    table.add_row("spread of answers", f"{metrics.prediction_std_years:.3f} years")
    table.add_row("MAE of answering the median", f"{metrics.median_mae_years:.3f} years")
    return table


def group_tables(metrics: Metrics, intervals: Intervals) -> Iterator[Table]:
    """The figures by decade and by gender, for people."""
    decades = {f"{start}-{start + 9}": group for start, group in metrics.decades.items()}
    if decades:
        yield _group_table("true age", decades, list(intervals.decades.values()))
    if metrics.genders:
        yield _group_table("gender", metrics.genders, list(intervals.genders.values()))


def _group_table(
    heading: str,
    groups: Mapping[str, AgeGroup | GenderGroup],
    spans: Sequence[Interval | None],
) -> Table:
    table = Table(heading)
    ages = any(isinstance(group, AgeGroup) for group in groups.values())
    for column in ("faces", *(("MAE", "95 % interval", "bias") if ages else ("accuracy", "95 %"))):
        table.add_column(column, justify="right")
    for (name, group), span in zip(groups.items(), spans, strict=True):
        figures = (
            (f"{group.mae_years:.3f}", _interval(span, 3), f"{group.bias_years:+.3f}")
            if isinstance(group, AgeGroup)
            else (f"{group.accuracy:.4f}", _interval(span, 4))
        )
        table.add_row(name, str(group.n), *figures)
    return table


def _interval(interval: Interval | None, digits: int) -> str:
    return f"{interval.low:.{digits}f} .. {interval.high:.{digits}f}" if interval else ""


def failure(group: FailureGroup) -> str:
    """A group that fails, in words."""
    name = f"{group.name}-{int(group.name) + 9}" if group.by == "decade" else group.name
    figure = "MAE" if group.figure == "mae_years" else "error rate"
    bias = "" if group.bias_years is None else f", bias {group.bias_years:+.1f}"
    return f"{name} ({figure} {group.value:.2f}{bias}, n {group.n})"
