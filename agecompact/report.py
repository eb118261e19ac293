"""Summary of a build folder: size, parity, latency and status of every artefact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agecompact import markdown
from agecompact.artifacts import confined, parity
from agecompact.artifacts.manifest import Build, Entry, read_builds
from agecompact.artifacts.parity import Result
from agecompact.bench import store
from agecompact.bench.record import Record
from agecompact.bench.tables import DASH, error_text, known_columns
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from agecompact.formats import COMPUTE_UNITS, RUNTIMES, opened_by
from agecompact.tables import Column, Table

_COLUMNS: tuple[tuple[Column, Callable[[ArtifactSummary], str]], ...] = (
    (Column("model", "name"), lambda s: s.model),
    (Column("artefact", "name"), lambda s: s.artifact),
    (Column("size", "number"), lambda s: f"{s.file_bytes / 1e3:,.1f} kB"),
    (Column("parity max", "number"), lambda s: error_text(s.max_error, s.unit)),
    (Column("parity p99", "number", rank=3), lambda s: error_text(s.p99_error, s.unit)),
    (
        Column("latency", rank=1),
        lambda s: DASH if s.ratio is None else _marked(f"{s.ratio:.2f}x", s.ratio_invalid),
    ),
    (Column("instructions", rank=2), lambda s: ", ".join(s.instructions) or DASH),
    (Column("on device", rank=2), lambda s: ", ".join(s.on_device) or DASH),
    (Column("status"), lambda s: s.status),
)
HEADINGS = tuple(column.heading for column, _ in _COLUMNS)
_RIGHT_ALIGNED = frozenset(HEADINGS[2:8])


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
        ratio: Latency relative to the model's float32 TFLite file, on the same host with the same
            number of threads; None if not measured here.
        ratio_invalid: Why the ratio is not valid; empty if it is.
        instructions: For each emulated core, the instructions per inference and the core.
        on_device: For each device, the median latency and the device.
        status: `passed`, `failed: <kind>`, `not run here` or `not checked`; with the runtime if it
            is a stand-in for Core ML.
    """

    model: str
    artifact: str
    file_bytes: int
    max_error: float | None
    p99_error: float | None
    unit: str
    ratio: float | None
    ratio_invalid: str
    instructions: tuple[str, ...]
    on_device: tuple[str, ...]
    status: str

    def cells(self) -> tuple[str, ...]:
        """Returns the summary as text, in the order of `HEADINGS`."""
        return tuple(read(self) for _, read in _COLUMNS)


def summaries(root: Path) -> tuple[ArtifactSummary, ...]:
    """Reads a build folder.

    Args:
        root: A folder with `<model>/manifest.json`, and with `parity.json` and `latency.json` if
            those stages have run. Every file is hashed, and results of other content are ignored.

    Returns:
        One summary per artefact, in the manifests' order.

    Raises:
        UsageError: No build was found, or a file cannot be read.
    """
    checked = _decisive(root / parity.FILE_NAME)
    measured = _measured(root / store.FILE_NAME)
    found = []
    for build in read_builds(root):
        for entry in build.manifest.artifacts:
            key = entry.file, _sha256(build.path(entry))
            found.append(_summary(build, entry, checked.get(key), measured.get(key, [])))
    return tuple(found)


def _summary(
    build: Build, entry: Entry, result: Result | None, records: Sequence[Record]
) -> ArtifactSummary:
    timed = next((r for r in records if _has_settings_of_reference(r)), None)
    return ArtifactSummary(
        model=build.manifest.model,
        artifact=entry.file,
        file_bytes=entry.bytes,
        max_error=result.max_error if result else None,
        p99_error=result.p99_error if result else None,
        unit=result.unit if result else build.manifest.contract.outputs[0].compared_unit,
        ratio=timed.ratio.median if timed and timed.ratio else None,
        ratio_invalid=_why_invalid(timed) if timed else "",
        instructions=tuple(_count(r) for r in records if r.instructions),
        on_device=tuple(_time(r) for r in records if r.source == "device"),
        status=_status(result),
    )


def _sha256(path: Path) -> str:
    """The hash of an artefact as it is now; empty if it cannot be read, so that nothing matches."""
    try:
        return confined.sha256_of(path)
    except UsageError:
        return ""


def to_markdown(table: Sequence[ArtifactSummary]) -> str:
    """Returns the summaries as a table in GitHub's Markdown."""
    columns = [
        replace(column, kind="number" if column.heading in _RIGHT_ALIGNED else "text")
        for column, _ in _COLUMNS
    ]
    rows = ([markdown.escape(cell) for cell in summary.cells()] for summary in table)
    return "\n".join(markdown.table(columns, rows)) + "\n"


def to_table(table: Sequence[ArtifactSummary]) -> Table:
    """Returns the summaries as a table for a terminal, without the columns that are empty.

    The model is left out too, since file names begin with it.
    """
    return known_columns(
        "From PyTorch to the phone",
        "parity: error against PyTorch; latency: ratio to the float32 TFLite file on one host; "
        "instructions: per inference, counted on an emulated ARM core",
        [column for column, _ in _COLUMNS[1:]],
        [summary.cells()[1:] for summary in table],
    )


def _decisive(path: Path) -> dict[tuple[str, str | None], Result]:
    """Returns the decisive parity result of each file, by name and hash.

    A file is checked in several runtimes. The first failure decides; else the first pass, whose
    runtime is the closest to a phone's; else it was skipped everywhere.
    """
    decisive: dict[tuple[str, str | None], Result] = {}
    for result in parity.read(path) if path.is_file() else ():
        key = result.artifact, result.sha256
        if key not in decisive or _weight(result) > _weight(decisive[key]):
            decisive[key] = result
    return decisive


def _weight(result: Result) -> int:
    return ("skipped", "passed", "failed").index(result.status)


def _measured(path: Path) -> dict[tuple[str, str], list[Record]]:
    """Returns the records of each file, by name and hash, validated by the current rules."""
    by_file: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in store.read(path) if path.is_file() else ():
        by_file[record.artifact.file, record.artifact.sha256].append(validated(record))
    return by_file


def _has_settings_of_reference(record: Record) -> bool:
    runtime, ratio = record.runtime, record.ratio
    return ratio is not None and (runtime.threads, runtime.batch) == (ratio.reference_threads, 1)


def _count(record: Record) -> str:
    assert record.instructions is not None
    text = f"{record.instructions.total / 1e6:.2f}M {record.machine.cpu}{_settings(record)}"
    return _marked(text, _why_invalid(record))


def _time(record: Record) -> str:
    device = record.machine.name or record.machine.cpu
    if record.latency is None:
        return f"- {device}{_settings(record)}"
    latency_ms = record.latency.p50_ms or record.latency.mean_ms
    return _marked(f"{latency_ms:.2f} ms {device}{_settings(record)}", _why_invalid(record))


def _settings(record: Record) -> str:
    """Threads and batch; empty for one thread and one face."""
    runtime = record.runtime
    threads = f" {runtime.threads} threads" if (runtime.threads or 1) > 1 else ""
    return threads + (f" batch {runtime.batch}" if runtime.batch > 1 else "")


def _why_invalid(record: Record) -> str:
    return ", ".join(reason.rule for reason in record.reasons)


def _marked(text: str, why_invalid: str) -> str:
    return f"{text} (invalid: {why_invalid})" if why_invalid else text


def _status(result: Result | None) -> str:
    if result is None:
        return "not checked"
    if result.status == "skipped":
        return result.verdict
    label = f" ({result.label})" if _is_core_ml_stand_in(result.runtime) else ""
    return result.verdict + label


def _is_core_ml_stand_in(name: str) -> bool:
    runtime = RUNTIMES.get(name)
    return runtime in opened_by("coreml").runtimes and runtime not in COMPUTE_UNITS.values()
