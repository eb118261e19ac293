"""What each artefact gives up for what it saves, and which of them are worth having."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agecompact.artifacts.trials import Records
from agecompact.bench import pareto
from agecompact.formats import FORMATS
from agecompact.report import charts
from agecompact.report.costs import single_counts
from agecompact.report.document import DASH, Cell, Chart, Grid, Part, Section, known_grid, number
from agecompact.report.evidence import Artifact, Evidence
from agecompact.report.missing import command
from agecompact.tables import Column

_PARITY = "agecompact parity"


@dataclass(frozen=True)
class Choice:
    """An artefact that may be chosen: its figures, less of which is better.

    Attributes:
        number: Its number in the charts, from 1 for each model.
        artifact: The artefact.
        p99: 99th percentile of its error.
        unit: Unit of `p99`.
        instructions: By core, the instructions for one face.
        failed: Whether it fails parity.
    """

    number: int
    artifact: Artifact
    p99: float
    unit: str
    instructions: Mapping[str, int]
    failed: bool

    @property
    def bytes(self) -> int:
        """Size of the artefact."""
        return self.artifact.entry.bytes

    @property
    def format(self) -> str:
        """Its format, for people."""
        return FORMATS[self.artifact.entry.format].suffix.removeprefix(".")


def tradeoff(evidence: Evidence) -> Section:
    """The error of each artefact against its bytes and its instructions, and the Pareto front."""
    found = choices(evidence.artifacts)
    title = "What each artefact gives up"
    if not found:
        fix = command(_PARITY, evidence.root)
        return Section("front", title, (f"Not measured yet: {fix}",))
    best = front(found)
    cores = tuple(dict.fromkeys(core for each in found for core in each.instructions))
    text = (
        "On the front: no other artefact of the model in that format is as good in the 99th "
        "percentile of the error, in bytes and, where they were counted, in instructions, and "
        "better in one. What fails parity is not on it.",
    )
    formats = tuple(dict.fromkeys(each.format for each in found))
    parts: list[Part] = [_chart(found, best, formats, "")]
    if cores:
        parts.append(_chart(found, best, formats, cores[-1]))
    parts += [_grid(found, best, cores), *map(_tried, evidence.trials)]
    return Section("front", title, text, tuple(parts))


def choices(artifacts: Sequence[Artifact]) -> tuple[Choice, ...]:
    """The artefacts whose error is known, numbered for each model."""
    numbers: dict[str, int] = defaultdict(int)
    found = []
    for artifact in artifacts:
        result = artifact.decisive
        if result is None or result.p99_error is None:
            continue
        numbers[artifact.model] += 1
        counted = {
            record.machine.cpu: record.instructions.total
            for record in single_counts(artifact)
            if record.instructions
        }
        failed = result.status == "failed"
        place = numbers[artifact.model]
        found.append(Choice(place, artifact, result.p99_error, result.unit, counted, failed))
    return tuple(found)


def front(found: Sequence[Choice]) -> frozenset[str]:
    """File names of the choices on the front of their model and format."""
    return frozenset(name for group in _rivals(found) for name in _front(group))


def _rivals(found: Sequence[Choice]) -> Iterator[Sequence[Choice]]:
    groups: dict[tuple[str, str], list[Choice]] = defaultdict(list)
    for each in found:
        if not each.failed:
            groups[each.artifact.model, each.format].append(each)
    yield from groups.values()


def _front(rivals: Sequence[Choice]) -> frozenset[str]:
    cores = sorted({core for each in rivals for core in each.instructions})
    return pareto.front(
        {
            each.artifact.file: (each.p99, each.bytes, *(each.instructions.get(c) for c in cores))
            for each in rivals
        }
    )


def _grid(found: Sequence[Choice], best: frozenset[str], cores: Sequence[str]) -> Grid:
    columns = (
        Column("artefact", "name"),
        Column("number", "number"),
        Column("front", "name"),
        Column("p99 error", "number"),
        Column("unit", "name"),
        Column("bytes", "number"),
        *(Column(f"millions, {core}", "number") for core in cores),
    )
    return Grid(
        "Error, bytes and instructions",
        columns,
        tuple(
            (
                Cell(each.artifact.file),
                number(each.number, "d"),
                Cell(_place(each, best)),
                number(each.p99, ".2g"),
                Cell(each.unit),
                number(each.bytes, ",d"),
                *(_count(each, core) for core in cores),
            )
            for each in found
        ),
    )


def _tried(records: Records) -> Grid:
    """What `optimise` tried, on a front of its own: its errors are those of other faces."""
    tried = records.records
    best = pareto.front(
        {
            each.candidate: (
                each.errors.p99 if each.errors else None,
                each.made.bytes,
                each.count.instructions if each.count else None,
            )
            for each in tried
        }
    )
    columns = (
        Column("candidate", "name"),
        Column("front", "name"),
        Column("p99 error", "number"),
        Column("mean error", "number"),
        Column("MAE change", "number"),
        Column("bytes", "number"),
        Column("millions", "number"),
        Column("counted on", "name"),
    )
    rows = (
        (
            Cell(each.candidate),
            Cell("yes" if each.candidate in best else "no"),
            number(each.errors.p99 if each.errors else None, ".2g"),
            number(each.errors.mean if each.errors else None, ".2g"),
            number(each.errors.mae_cost if each.errors else None, "+.3f"),
            number(each.made.bytes, ",d"),
            number(each.count.instructions / 1e6 if each.count else None, ".2f"),
            Cell(each.count.place if each.count else DASH),
        )
        for each in tried
    )
    return known_grid(f"What optimise tried for {records.model}", columns, rows)


def _place(choice: Choice, best: frozenset[str]) -> str:
    if choice.failed:
        return "failed"
    return "yes" if choice.artifact.file in best else "no"


def _count(choice: Choice, core: str) -> Cell:
    count = choice.instructions.get(core)
    return number(None if count is None else count / 1e6, ".2f")


def _chart(
    found: Sequence[Choice], best: frozenset[str], formats: Sequence[str], core: str
) -> Chart:
    """The errors against the instructions on a core, or against the bytes if none is given."""
    shown = [each for each in found if not core or core in each.instructions]
    cost = f"millions of instructions on {core}" if core else "kB"
    rows: list[charts.Row] = [
        {
            "group": f"{each.artifact.model}, {each.unit}",
            "number": str(each.number),
            "series": each.format,
            "cost": each.instructions[core] / 1e6 if core else each.bytes / 1e3,
            "error": each.p99,
            "best": each.artifact.file in best,
        }
        for each in shown
    ]
    names = ", ".join(each.artifact.file for each in shown if each.artifact.file in best) or "none"
    return Chart(
        f"Error against {'instructions' if core else 'bytes'}",
        f"The 99th percentile of the error, on a logarithmic scale, against {cost}. On the front, "
        f"filled: {names}. Numbers are those of the table below, which has the figures.",
        charts.front(rows, cost, "p99 of the error", formats),
    )
