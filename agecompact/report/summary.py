"""One row for each artefact: size, parity, latency and status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agecompact.artifacts.parity import Result
from agecompact.bench.record import Record
from agecompact.bench.tables import error_text, known_columns
from agecompact.formats import COMPUTE_UNITS, RUNTIMES, opened_by
from agecompact.report.document import DASH, Cell, Grid, known_grid
from agecompact.report.evidence import Artifact
from agecompact.tables import Column, Table

_Read = Callable[["ArtifactSummary"], Cell]


@dataclass(frozen=True)
class Counted:
    """A figure measured in one place.

    Attributes:
        text: The figure and the place.
        value: The figure; None if it could not be measured.
    """

    text: str
    value: float | None


@dataclass(frozen=True)
class ArtifactSummary:
    """What is known about one artefact.

    Attributes:
        model: Registered id.
        artifact: File name.
        file_bytes: Size.
        max_error: Largest error against PyTorch; None if not compared here.
        p99_error: 99th percentile of the error; None if not compared here.
        unit: Unit of both.
        mae_change: MAE on labelled faces less PyTorch's; None if not measured.
        ratio: Latency relative to the model's float32 TFLite file, on the same host with the same
            number of threads; None if not measured here.
        ratio_invalid: Why the ratio is not valid; empty if it is.
        instructions: For each emulated core, the millions of instructions per inference.
        on_device: For each device, the median latency in ms.
        status: `passed`, `failed: <kind>`, `not run here` or `not checked`; with the runtime if it
            is a stand-in for Core ML.
    """

    model: str
    artifact: str
    file_bytes: int
    max_error: float | None
    p99_error: float | None
    unit: str
    mae_change: float | None
    ratio: float | None
    ratio_invalid: str
    instructions: tuple[Counted, ...]
    on_device: tuple[Counted, ...]
    status: str

    def cells(self) -> tuple[Cell, ...]:
        """The summary as cells, in the order of `HEADINGS`."""
        return tuple(read(self) for _, read in _COLUMNS)


def _error(error: float | None, unit: str) -> Cell:
    return Cell(error_text(error, unit), error)


def _change(summary: ArtifactSummary) -> Cell:
    change = summary.mae_change
    return Cell(DASH) if change is None else Cell(f"{change:+.3f}", change)


def _ratio(summary: ArtifactSummary) -> Cell:
    if summary.ratio is None:
        return Cell(DASH)
    return Cell(_marked(f"{summary.ratio:.2f}x", summary.ratio_invalid), summary.ratio)


def _places(counted: Sequence[Counted]) -> Cell:
    text = ", ".join(each.text for each in counted)
    return Cell(text, counted[0].value) if counted else Cell(DASH)


_COLUMNS: tuple[tuple[Column, _Read], ...] = (
    (Column("model", "name"), lambda s: Cell(s.model)),
    (Column("artefact", "name"), lambda s: Cell(s.artifact)),
    (Column("size", "number"), lambda s: Cell(f"{s.file_bytes / 1e3:,.1f} kB", s.file_bytes)),
    (Column("parity max", "number"), lambda s: _error(s.max_error, s.unit)),
    (Column("parity p99", "number", rank=3), lambda s: _error(s.p99_error, s.unit)),
    (Column("MAE change", "number", rank=2), _change),
    (Column("latency", rank=1), _ratio),
    (Column("instructions", rank=2), lambda s: _places(s.instructions)),
    (Column("on device", rank=2), lambda s: _places(s.on_device)),
    (Column("status"), lambda s: Cell(s.status)),
)
HEADINGS = tuple(column.heading for column, _ in _COLUMNS)


def summaries(artifacts: Iterable[Artifact]) -> tuple[ArtifactSummary, ...]:
    """One summary for each artefact, in their order."""
    return tuple(map(_summary, artifacts))


def _summary(artifact: Artifact) -> ArtifactSummary:
    result, records = artifact.decisive, artifact.records
    timed = next((r for r in records if _has_settings_of_reference(r)), None)
    outputs = artifact.build.manifest.contract.outputs
    return ArtifactSummary(
        model=artifact.model,
        artifact=artifact.file,
        file_bytes=artifact.entry.bytes,
        max_error=result.max_error if result else None,
        p99_error=result.p99_error if result else None,
        unit=result.unit if result else outputs[0].compared_unit,
        mae_change=result.mae_change if result else None,
        ratio=timed.ratio.median if timed and timed.ratio else None,
        ratio_invalid=why_invalid(timed) if timed else "",
        instructions=tuple(_count(r) for r in records if r.instructions),
        on_device=tuple(_time(r) for r in records if r.source == "device"),
        status=status_of(result),
    )


def to_table(rows: Sequence[ArtifactSummary]) -> Table:
    """The summaries as a table for a terminal, without the columns that are empty.

    The model is left out too, since file names begin with it.
    """
    return known_columns(
        "From PyTorch to the phone",
        "parity: error against PyTorch; latency: ratio to the float32 TFLite file on one host; "
        "instructions: per inference, counted on an emulated ARM core",
        [column for column, _ in _COLUMNS[1:]],
        [tuple(cell.text for cell in row.cells()[1:]) for row in rows],
    )


def to_grid(rows: Sequence[ArtifactSummary]) -> Grid:
    """The summaries as a grid, without the columns that are empty.

    First the artefact, whose name begins with the model, then its status, so that a phone shows it.
    """
    shown = (_COLUMNS[1], _COLUMNS[-1], *_COLUMNS[2:-1])
    cells = ([read(row) for _, read in shown] for row in rows)
    return known_grid("All artefacts", [column for column, _ in shown], cells)


def status_of(result: Result | None) -> str:
    """The verdict on an artefact, by its decisive result."""
    if result is None:
        return "not checked"
    if result.status == "skipped":
        return result.verdict
    label = f" ({result.label})" if _is_core_ml_stand_in(result.runtime) else ""
    return result.verdict + label


def _has_settings_of_reference(record: Record) -> bool:
    runtime, ratio = record.runtime, record.ratio
    return ratio is not None and (runtime.threads, runtime.batch) == (ratio.reference_threads, 1)


def _count(record: Record) -> Counted:
    assert record.instructions is not None
    millions = record.instructions.total / 1e6
    text = f"{millions:.2f}M {record.machine.cpu}{_settings(record)}"
    return Counted(_marked(text, why_invalid(record)), millions)


def _time(record: Record) -> Counted:
    device = record.machine.name or record.machine.cpu
    if record.latency is None:
        return Counted(f"- {device}{_settings(record)}", None)
    latency_ms = record.latency.p50_ms or record.latency.mean_ms
    text = f"{latency_ms:.2f} ms {device}{_settings(record)}"
    return Counted(_marked(text, why_invalid(record)), latency_ms)


def _settings(record: Record) -> str:
    """Threads and batch; empty for one thread and one face."""
    runtime = record.runtime
    threads = f" {runtime.threads} threads" if (runtime.threads or 1) > 1 else ""
    return threads + (f" batch {runtime.batch}" if runtime.batch > 1 else "")


def why_invalid(record: Record) -> str:
    """The rules that a record breaks; empty if it is valid."""
    return ", ".join(reason.rule for reason in record.reasons)


def _marked(text: str, why_invalid: str) -> str:
    return f"{text} (invalid: {why_invalid})" if why_invalid else text


def _is_core_ml_stand_in(name: str) -> bool:
    runtime = RUNTIMES.get(name)
    return runtime in opened_by("coreml").runtimes and runtime not in COMPUTE_UNITS.values()
