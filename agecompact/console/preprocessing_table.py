"""The table of what mistakes in preprocessing cost."""

from __future__ import annotations

from agecompact.artifacts.preprocessing import Cost, Record
from agecompact.tables import Column, Table

_FIGURES = {"mae": "MAE", "accuracy": "accuracy"}


def table(record: Record) -> Table:
    """The mistakes, the most expensive first."""
    columns = [
        Column("if an app ...", "name"),
        Column("mean", "number"),
        Column("p99", "number"),
        Column("greatest", "number"),
    ]
    if record.figure:
        columns.append(Column(_FIGURES[record.figure], "number"))
    return Table(
        tuple(columns),
        tuple(_row(record, cost) for cost in record.worst_first),
        f"{record.file}: how far '{record.output}' moves, in {record.unit}\n{record.place}",
        _caption(record),
    )


def sentence(record: Record) -> str:
    """The worst mistake, in words."""
    worst = record.worst_first[0]
    start = f"if an app {worst.text}, '{record.output}'"
    if worst.mean is None or worst.greatest is None:
        return f"{start} is not a finite number"
    mean, most = (f"{each:.{record.digits}f}" for each in (worst.mean, worst.greatest))
    return f"{start} is off by {mean} {record.unit} on average, {most} at most"


def _row(record: Record, cost: Cost) -> tuple[str, ...]:
    def shown(value: float | None, sign: str = "") -> str:
        return "-" if value is None else f"{value:{sign}.{record.digits}f}"

    figures = (cost.mean, cost.p99, cost.greatest)
    change = (shown(cost.change, "+"),) if record.figure else ()
    return (cost.text, *map(shown, figures), *change)


def _caption(record: Record) -> str:
    lines = []
    if record.figure and record.right is not None:
        name = _FIGURES[record.figure]
        lines.append(
            f"{name}: change of the {name} on labels, which is {record.right:.{record.digits}f} "
            "with the right inputs"
        )
    lines += [
        f"{cost.text}: {cost.not_finite} answers are not finite and not counted"
        for cost in record.worst_first
        if cost.not_finite
    ]
    return "\n".join(lines)
