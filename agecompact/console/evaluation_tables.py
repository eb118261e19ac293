"""Tables of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact.evaluation.card_sections import FailureGroup
from agecompact.evaluation.metrics import AgeFigures, AgeMetrics, Figure, GenderFigures, Metrics
from agecompact.tables import Column, Table

_INTERVAL = "95 % interval"


def metrics_table(title: str, metrics: Metrics) -> Table:
    """The figures over all faces."""
    rows = [("faces", str(metrics.n), "")]
    if isinstance(metrics, AgeMetrics):
        for name, figure in (
            ("MAE", metrics.mae_years),
            ("RMSE", metrics.rmse_years),
            ("bias", metrics.bias_years),
        ):
            rows.append((name, f"{figure.value:.3f} years", _interval(figure, 3)))
        for years, figure in metrics.ca.items():
            rows.append((f"CA({years})", f"{figure.value:.4f}", _interval(figure, 4)))
        rows += [
            ("standard deviation of predictions", f"{metrics.prediction_std_years:.3f} years", ""),
            ("MAE of predicting the median age", f"{metrics.median_mae_years:.3f} years", ""),
        ]
    else:
        accuracy, majority = metrics.accuracy, metrics.majority_accuracy
        rows += [
            ("accuracy", f"{accuracy.value:.4f}", _interval(accuracy, 4)),
            ("accuracy of always predicting one gender", f"{majority:.4f}", ""),
        ]
    columns = (Column("metric", "name"), Column("value", "number"), Column(_INTERVAL, "number"))
    return Table(columns, tuple(rows), title)


def group_tables(metrics: Metrics) -> Iterator[Table]:
    """The figures by decade of true age and by gender."""
    age_headings, gender_headings = (
        ("MAE, years", _INTERVAL, "bias, years"),
        ("accuracy", _INTERVAL),
    )
    headings = age_headings if isinstance(metrics, AgeMetrics) else gender_headings
    numbers = tuple(Column(heading, "number") for heading in ("faces", *headings))
    decades = {f"{start}-{start + 9}": group for start, group in metrics.decades.items()}
    for heading, groups in (("true age", decades), ("gender", metrics.genders)):
        rows = tuple((name, str(group.n), *_cells(group)) for name, group in groups.items())
        if rows:
            yield Table((Column(heading, "name"), *numbers), rows)


def failure_text(group: FailureGroup) -> str:
    """A group that fails, with its figures."""
    name = f"{group.name}-{int(group.name) + 9}" if group.by == "decade" else group.name
    figure = "MAE" if group.figure == "mae_years" else "error rate"
    bias = "" if group.bias_years is None else f", bias {group.bias_years:+.1f}"
    return f"{name} ({figure} {group.value:.2f}{bias}, n {group.n})"


def _cells(group: AgeFigures | GenderFigures) -> tuple[str, ...]:
    if isinstance(group, GenderFigures):
        return f"{group.accuracy.value:.4f}", _interval(group.accuracy, 4)
    mae, bias = group.mae_years, group.bias_years
    return f"{mae.value:.3f}", _interval(mae, 3), f"{bias.value:+.3f}"


def _interval(figure: Figure, digits: int) -> str:
    span = figure.interval
    return f"{span.low:.{digits}f} .. {span.high:.{digits}f}" if span else ""
