"""What mistakes in preprocessing cost."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact.artifacts.preprocessing import Cost, Record
from agecompact.report.document import Cell, Grid, Section, known_grid, number
from agecompact.report.evidence import Evidence, Preprocessed
from agecompact.report.missing import command
from agecompact.tables import Column

_CHANGES = {"mae": "MAE change", "accuracy": "accuracy change", None: "change"}


def preprocessing(evidence: Evidence) -> Section:
    """A grid for each file that was measured, the most expensive mistake first."""
    found = evidence.preprocessed
    text = list(_lacking(evidence))
    if found:
        text.insert(
            0,
            "How far the answers move if an app prepares faces otherwise than the contract says: "
            "the mean over faces, the 99th percentile, and the greatest. Changes are those of the "
            "error on labels.",
        )
    return Section(
        "preprocessing",
        "Mistakes in preprocessing",
        tuple(text),
        tuple(map(_grid, found)),
    )


def _lacking(evidence: Evidence) -> Iterator[str]:
    measured = {each.model for each in evidence.preprocessed}
    models = [build.manifest.model for build in evidence.builds]
    missing = [model for model in models if model not in measured]
    if missing:
        which = "" if len(missing) == len(models) else f" of {', '.join(missing)}"
        out = command("--out", evidence.root)
        yield f"Not measured yet{which}: agecompact preprocessing MODEL --data FACES {out}"


def _grid(preprocessed: Preprocessed) -> Grid:
    record = preprocessed.record
    columns = (
        Column("if an app ...", "name"),
        Column("concerns", "name"),
        Column("mean", "number"),
        Column("p99", "number"),
        Column("greatest", "number"),
        Column("unit", "name"),
        Column(_CHANGES[record.figure], "number"),
        Column("not finite", "number"),
    )
    return known_grid(
        f"{preprocessed.name}, '{record.output}', on {record.place}",
        columns,
        (_cells(record, cost) for cost in record.worst_first),
    )


def _cells(record: Record, cost: Cost) -> tuple[Cell, ...]:
    form = f".{record.digits}f"
    return (
        Cell(cost.text),
        Cell(cost.kind),
        number(cost.mean, form),
        number(cost.p99, form),
        number(cost.greatest, form),
        Cell(record.unit),
        number(cost.change, f"+{form}"),
        number(cost.not_finite or None, "d"),
    )
