"""What artefacts cost: instructions against the fewest possible, and what their bytes are."""

from __future__ import annotations

from collections.abc import Sequence

from agecompact.bench.record import Record, Size
from agecompact.report import charts
from agecompact.report.document import Cell, Chart, Section, known_grid, number
from agecompact.report.evidence import Artifact, Evidence
from agecompact.report.missing import command, lacking
from agecompact.report.summary import why_invalid
from agecompact.tables import Column

_COUNTED_FORMAT = "tflite"
_PARTS = ("weights", "graph", "metadata")
_COUNTS = (
    Column("artefact", "name"),
    Column("core", "name"),
    Column("millions", "number"),
    Column("bound", "number"),
    Column("x bound", "number"),
    Column("load", "number"),
    Column("store", "number"),
    Column("mul-acc", "number"),
    Column("SIMD", "number"),
    Column("branch", "number"),
    Column("bound by"),
    Column("verdict"),
)
_SIZES = (
    Column("artefact", "name"),
    Column("bytes", "number"),
    *(Column(part, "number") for part in _PARTS),
    Column("deflated", "number"),
    Column("bound", "number"),
    Column("over bound", "number"),
)


def instructions(evidence: Evidence) -> Section:
    """Instructions for one face on emulated cores, and the fewest that the network needs."""
    countable = [a for a in evidence.artifacts if a.entry.format == _COUNTED_FORMAT]
    counted = [(a, r) for a in countable for r in single_counts(a)]
    fix = command("agecompact bench", evidence.root, "--on emulated:cortex-a76")
    text = lacking(
        [a.file for a in countable if not single_counts(a)],
        countable,
        f"make arm-bundle, then {fix}",
    )
    if not countable:
        text = ("Instructions of TFLite files are counted, and the build has none.",)
    if not counted:
        return Section("instructions", "Instructions", text)
    text = (
        "ARM instructions for one face on one thread, counted on an emulated processor: they rank "
        "artefacts on such a core and are not a latency. Bound: what the multiply-accumulates "
        "alone need.",
        *text,
    )
    grid = known_grid(
        "Instructions for one face, in millions", _COUNTS, (_count_cells(a, r) for a, r in counted)
    )
    return Section("instructions", "Instructions", text, (_count_chart(counted), grid))


def sizes(evidence: Evidence) -> Section:
    """What the bytes of every artefact are."""
    measured = [(a, a.size) for a in evidence.artifacts if a.size]
    unmeasured = [a.file for a in evidence.artifacts if not a.size]
    fix = command("agecompact bench size", evidence.root)
    text = lacking(unmeasured, evidence.artifacts, fix)
    if not measured:
        return Section("bytes", "Bytes", text)
    text = (
        "Deflated: as in an APK or IPA. Bound: parameters after folding times the bytes of the "
        "precision.",
        *text,
    )
    grid = known_grid("Bytes by kind", _SIZES, (_size_cells(a, size) for a, size in measured))
    return Section("bytes", "Bytes", text, (_size_chart(measured), grid))


def single_counts(artifact: Artifact) -> tuple[Record, ...]:
    """The counts of an artefact for one face on one thread."""
    return tuple(
        record
        for record in artifact.records
        if record.instructions and (record.runtime.threads or 1, record.runtime.batch) == (1, 1)
    )


def _count_cells(artifact: Artifact, record: Record) -> tuple[Cell, ...]:
    found = record.instructions
    assert found is not None
    parts = (found.load, found.store, found.multiply_accumulate, found.simd, found.branch)
    return (
        Cell(artifact.file),
        Cell(record.machine.cpu),
        _millions(found.total),
        _millions(found.bound),
        number(found.over_bound, ".1f"),
        *map(_millions, parts),
        Cell(found.bound_basis or ""),
        Cell(f"invalid: {why}" if (why := why_invalid(record)) else "valid"),
    )


def _millions(count: int | None) -> Cell:
    return number(None if count is None else count / 1e6, ".2f")


def _count_chart(counted: Sequence[tuple[Artifact, Record]]) -> Chart:
    cores = tuple(dict.fromkeys(record.machine.cpu for _, record in counted))
    rows = [
        {
            "group": artifact.model,
            "name": artifact.short_name,
            "series": record.machine.cpu,
            "value": record.instructions.total / 1e6,
            "bound": record.instructions.bound and record.instructions.bound / 1e6,
        }
        for artifact, record in counted
        if record.instructions
    ]
    ordered = sorted(counted, key=lambda each: _total(each[1]))
    least, most = (_said(*each) for each in (ordered[0], ordered[-1]))
    return Chart(
        "Instructions for one face",
        f"Millions of instructions for one face on {' and '.join(cores)}: from "
        f"{least} to {most}. The mark across a bar is the bound. The table below has the figures.",
        charts.bars(rows, "millions of instructions; mark: bound", cores),
    )


def _total(record: Record) -> int:
    return record.instructions.total if record.instructions else 0


def _said(artifact: Artifact, record: Record) -> str:
    return f"{_total(record) / 1e6:.2f} in {artifact.file} on {record.machine.cpu}"


def _size_cells(artifact: Artifact, size: Size) -> tuple[Cell, ...]:
    total = size.weights_bytes + size.graph_bytes + size.metadata_bytes
    over = None if size.bound_bytes is None else total - size.bound_bytes
    return (
        Cell(artifact.file),
        number(total, ",d"),
        *(number(part, ",d") for part in _parts(size)),
        number(size.deflated_bytes, ",d"),
        number(size.bound_bytes, ",d"),
        number(over, "+,d"),
    )


def _parts(size: Size) -> tuple[int, ...]:
    return size.weights_bytes, size.graph_bytes, size.metadata_bytes


def _size_chart(measured: Sequence[tuple[Artifact, Size]]) -> Chart:
    rows = [
        {
            "group": artifact.model,
            "name": artifact.short_name,
            "part": part,
            "place": place,
            "value": count / 1e3,
            "bound": size.bound_bytes and size.bound_bytes / 1e3,
        }
        for artifact, size in measured
        for place, (part, count) in enumerate(zip(_PARTS, _parts(size), strict=True))
    ]
    ordered = sorted(measured, key=lambda each: each[0].entry.bytes)
    least, most = ordered[0][0], ordered[-1][0]
    return Chart(
        "Bytes by kind",
        f"Kilobytes of weights, graph and metadata: from {least.entry.bytes / 1e3:,.0f} in "
        f"{least.file} to {most.entry.bytes / 1e3:,.0f} in {most.file}. The mark across a bar is "
        "the bound. The table below has the figures.",
        charts.stacks(rows, "kB; mark: bound", _PARTS),
    )
