"""The error on labelled faces, by decade of true age."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from agecompact.evaluation.stored import StoredGroup
from agecompact.report import agreement, charts
from agecompact.report.document import Cell, Chart, Part, Section, known_grid, number
from agecompact.report.evidence import Evaluation, Evidence
from agecompact.report.missing import command
from agecompact.tables import Column

_MAE = "MAE, years"


def accuracy(evidence: Evidence) -> Section:
    """The MAEs, over all faces and by decade, with their intervals."""
    found, parts = evidence.evaluations, list[Part](agreement.task(evidence))
    text = []
    if not parts:
        fix = command("agecompact parity", evidence.root, "--data FACES")
        text.append(f"What the artefacts cost on labelled faces was not measured: {fix}")
    by_figure = sorted(found, key=lambda each: each.stored.figure != _MAE)
    for figure, group in groupby(by_figure, key=lambda each: each.stored.figure):
        evaluations = tuple(group)
        parts += [_chart(figure, evaluations), *(_grid(each) for each in evaluations)]
    if found:
        text.append("Intervals are 95 % bootstrap intervals over faces.")
    if all(each.name == "weights" for each in found):
        what = "by decade" if not found else "by decade of an artefact"
        text.append(
            f"The error {what} was not measured: agecompact evaluate --artifact FILE --data FACES "
            "--json evaluation.json, then agecompact report with --evaluation evaluation.json"
        )
    text += [f"{_name(e)}: {warning}." for e in found for warning in e.stored.warnings]
    return Section("accuracy", "Error on labelled faces", tuple(text), tuple(parts))


def _name(evaluation: Evaluation) -> str:
    if evaluation.name == "weights":
        return f"weights of {evaluation.model}"
    return evaluation.name


def _short_name(evaluation: Evaluation) -> str:
    return evaluation.name.removeprefix(f"{evaluation.model}_")


def _grid(evaluation: Evaluation) -> Part:
    stored = evaluation.stored
    columns = (
        Column("true age", "name"),
        Column("faces", "number"),
        Column(stored.figure, "number"),
        Column("95 % interval", "number"),
        Column("bias, years", "number"),
    )
    rows = [(Cell("all", -1.0), *_cells(stored.overall))]
    rows += [
        (Cell(_decade(start), float(start)), *_cells(group))
        for start, group in stored.decades.items()
    ]
    part = "all" if stored.part == "all" else f"the {stored.part} part"
    caption = f"By decade: {_name(evaluation)}, on {part} of {stored.dataset}"
    return known_grid(caption, columns, rows)


def _cells(group: StoredGroup) -> tuple[Cell, ...]:
    span = group.interval
    return (
        number(group.n, ",d"),
        number(group.value, ".3f"),
        Cell(f"{span.low:.3f} to {span.high:.3f}", span.low) if span else Cell("-"),
        number(group.bias_years, "+.3f"),
    )


def _chart(figure: str, evaluations: Sequence[Evaluation]) -> Chart:
    # Names of series are the same in all charts of models, as the legend is.
    series = tuple(dict.fromkeys(map(_short_name, evaluations)))
    rows = [
        {
            "group": each.model,
            "decade": start,
            "series": _short_name(each),
            "value": group.value,
            "low": group.interval.low if group.interval else None,
            "high": group.interval.high if group.interval else None,
        }
        for each in evaluations
        for start, group in each.stored.decades.items()
    ]
    said = [
        f"{_name(each)}: from {least.value:.2f} for {_decade(first)} to {most.value:.2f} for "
        f"{_decade(last)}"
        for each in evaluations
        for (first, least), (last, most) in [_extremes(each)]
    ]
    return Chart(
        f"{figure[:1].upper()}{figure[1:]}, by decade of true age",
        f"{figure} by decade of true age, with 95 % intervals. {'; '.join(said)}. The tables below "
        "have the figures.",
        charts.intervals(rows, series),
    )


def _extremes(
    evaluation: Evaluation,
) -> tuple[tuple[int, StoredGroup], tuple[int, StoredGroup]]:
    groups = sorted(evaluation.stored.decades.items(), key=lambda item: item[1].value)
    return groups[0], groups[-1]


def _decade(start: int) -> str:
    return f"{start}-{start + 9}"
