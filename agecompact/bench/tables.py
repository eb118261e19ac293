"""Tables of records, each with the machine in its title."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from agecompact.bench.circumstances import Machine
from agecompact.bench.diff import Comparison
from agecompact.bench.figures import Instructions, OpTime
from agecompact.bench.record import Artifact, Record, Size
from agecompact.bench.store import MeasurementKey
from agecompact.bench.timing import Ratio
from agecompact.tables import Column, Table

_T = TypeVar("_T")
# A column, and the text that it shows for an item.
_ShownColumn = tuple[Column, Callable[[_T], str]]

# The text of an unknown figure.
DASH = "-"
_LONGEST_OPS = 10


def measured(records: Sequence[Record]) -> Iterator[Table]:
    """Yields a table for each machine and kind of measurement."""

    def place(record: Record) -> tuple[str, str]:
        return record.source, where(record.machine)

    for (source, machine), group in groupby(sorted(records, key=place), key=place):
        table = _counts if source == "emulated-instructions" else _times
        yield table(machine, tuple(group))


def where(machine: Machine) -> str:
    """Returns the machine on one line."""
    parts = (machine.name, machine.soc, machine.cpu, machine.emulator, machine.os)
    return ", ".join(text for text in parts if text)


def error_text(error: float | None, unit: str) -> str:
    """Returns an error with its unit; a dash for None."""
    if error is None:
        return DASH
    return f"{error:.1e} y" if unit == "years" else f"{error:.1e}"


def known_columns(
    title: str, caption: str, columns: Sequence[Column], rows: Sequence[tuple[str, ...]]
) -> Table:
    """Returns a table without the columns in which every row has a dash."""
    known = [i for i in range(len(columns)) if any(row[i] != DASH for row in rows)]
    return Table(
        columns=tuple(columns[i] for i in known),
        rows=tuple(tuple(row[i] for i in known) for row in rows),
        title=title,
        caption=caption,
    )


def _drawn(
    title: str, caption: str, columns: Sequence[_ShownColumn[_T]], items: Iterable[_T]
) -> Table:
    rows = [tuple(read(item) for _, read in columns) for item in items]
    return known_columns(title, caption, [column for column, _ in columns], rows)


def _times(machine: str, records: Sequence[Record]) -> Table:
    batched = any(r.runtime.batch > 1 for r in records)
    per_face: _ShownColumn[Record] = (
        Column("ms/face", "number"),
        lambda r: _number(r.p50_face_ms, ".3f"),
    )
    columns: list[_ShownColumn[Record]] = [
        (Column("file", "name"), lambda r: r.artifact.file),
        *_varied(records),
        (Column("ratio", "number"), lambda r: _number(r.ratio.median if r.ratio else None, ".2f")),
        (Column("95 % interval", "number", rank=2), lambda r: _interval(r.ratio)),
        *((per_face,) if batched else ()),
        (
            Column("p50 ms", "number", rank=1 if batched else 0),
            lambda r: _number(r.latency.p50_ms if r.latency else None, ".3f"),
        ),
        (
            Column("p90 ms", "number", rank=2),
            lambda r: _number(r.latency.p90_ms if r.latency else None, ".3f"),
        ),
        (
            Column("first ms", "number", rank=3),
            lambda r: _number(r.startup.first_inference_ms if r.startup else None, ".2f"),
        ),
        (
            Column("cold ms", "number", rank=3),
            lambda r: _number(r.startup.cold_start_ms if r.startup else None, ".0f"),
        ),
        (
            Column("MB", "number", rank=3),
            lambda r: _millions(r.memory.model_rss_bytes if r.memory else None, ".1f"),
        ),
        (
            Column("library MB", "number", rank=2),
            lambda r: _millions(r.runtime.library_bytes, ".1f"),
        ),
        (Column("error", "number", rank=1), _error),
        (Column("verdict"), _verdict),
    ]
    caption = (
        "ratio: latency per face relative to the model's float32 TFLite file on the fewest "
        "threads, paired by round\ncold: from the start of a process to its first output; "
        "MB: memory that the model added; library: what a page downloads beside the model; "
        "error: largest on the golden pack"
    )
    return _drawn(f"Latency{_same_runs(records)}\n{machine}", caption, columns, records)


def _counts(machine: str, records: Sequence[Record]) -> Table:
    def millions(
        heading: str, rank: int, read: Callable[[Instructions], int | None]
    ) -> _ShownColumn[Record]:
        column = Column(heading, "number", rank)
        return column, lambda r: _millions(read(r.instructions) if r.instructions else None, ".2f")

    columns: list[_ShownColumn[Record]] = [
        (Column("file", "name"), lambda r: r.artifact.file),
        *_varied(records),
        millions("total", 0, lambda i: i.total),
        (
            Column("x bound", "number", rank=1),
            lambda r: _number(r.instructions.over_bound if r.instructions else None, ".1f"),
        ),
        millions("load", 2, lambda i: i.load),
        millions("store", 2, lambda i: i.store),
        millions("mul-acc", 2, lambda i: i.multiply_accumulate),
        millions("SIMD", 2, lambda i: i.simd),
        millions("branch", 2, lambda i: i.branch),
        millions("first", 3, lambda i: i.first),
        millions("init", 3, lambda i: i.init),
        (Column("error", "number", rank=1), _error),
        (Column("verdict"), _verdict),
    ]
    caption = (
        "millions of instructions, counted: they rank artefacts on such a core and are not a "
        "latency\nx bound: ratio to what the multiply-accumulates alone need; error: largest on "
        "the golden pack"
    )
    title = f"ARM instructions per inference{_same_runs(records)}\n{machine}"
    return _drawn(title, caption, columns, records)


def sizes(artifacts: Iterable[Artifact]) -> Table:
    """Returns the breakdown of each artefact's bytes, each file once."""

    def part(heading: str, rank: int, read: Callable[[Size], int | None]) -> _ShownColumn[Artifact]:
        column = Column(heading, "number", rank)
        return column, lambda a: _number(read(a.size) if a.size else None, ",")

    def over_bound(artifact: Artifact) -> str:
        bound = artifact.size.bound_bytes if artifact.size else None
        return _number(bound and artifact.file_bytes - bound, "+,")

    columns: list[_ShownColumn[Artifact]] = [
        (Column("file", "name"), lambda a: a.file),
        (Column("bytes", "number"), lambda a: f"{a.file_bytes:,}"),
        part("weights", 1, lambda s: s.weights_bytes),
        part("graph", 3, lambda s: s.graph_bytes),
        part("metadata", 3, lambda s: s.metadata_bytes),
        part("deflated", 1, lambda s: s.deflated_bytes),
        part("bound", 3, lambda s: s.bound_bytes),
        (Column("over bound", "number", rank=2), over_bound),
    ]
    caption = "deflated: as in an APK or IPA; bound: folded parameters x bytes of the precision"
    by_file = {a.file: a for a in artifacts}
    return _drawn("Bytes of an artefact", caption, columns, by_file.values())


def profiles(records: Iterable[Record]) -> Iterator[Table]:
    """Yields the longest ops of each record with a profile."""
    for record in records:
        if record.profile is not None:
            yield _profile(record, record.profile)


def _profile(record: Record, ops: Sequence[OpTime]) -> Table:
    total_ms = sum(op.mean_ms for op in ops)
    columns: list[_ShownColumn[OpTime]] = [
        (Column("op", "name"), lambda op: op.name),
        (Column("kind", "name", rank=1), lambda op: op.kind),
        (Column("runs", "number", rank=2), lambda op: str(op.runs)),
        (Column("ms", "number"), lambda op: f"{op.mean_ms:.3f}"),
        (
            Column("share", "number"),
            lambda op: f"{op.mean_ms / total_ms:.0%}" if total_ms else DASH,
        ),
    ]
    title = f"{record.artifact.file}{_same_runs((record,))}, by op\n{where(record.machine)}"
    caption = f"{len(ops)} ops take {total_ms:.3f} ms under the profiler"
    return _drawn(title, caption, columns, ops[:_LONGEST_OPS])


def compared(comparisons: Sequence[Comparison]) -> Iterator[Table]:
    """Yields the comparisons of two files, a table for each way of measuring."""
    columns: list[_ShownColumn[Comparison]] = [
        (Column("file", "name"), lambda c: c.subject.file),
        (Column("figure", "name"), lambda c: c.figure),
        (Column("A", "number", rank=1), lambda c: _number(c.before, ",.6g")),
        (Column("B", "number", rank=1), lambda c: _number(c.after, ",.6g")),
        (Column("change", "number"), lambda c: _number(c.change, "+.1%")),
        (Column("verdict"), lambda c: f"{c.verdict}: {c.reason}" if c.reason else c.verdict),
    ]

    def how(comparison: Comparison) -> str:
        return _how(comparison.subject)

    for title, group in groupby(sorted(comparisons, key=how), key=how):
        yield _drawn(f"B against A\n{title}", "", columns, group)


def _how(key: MeasurementKey) -> str:
    runs = f"{key.threads} threads, batch {key.batch}" if key.threads else ""
    return ", ".join(filter(None, (key.source, key.runtime, runs, key.delegate)))


_RUNS: tuple[_ShownColumn[Record], ...] = (
    (Column("threads", "number"), lambda r: _number(r.runtime.threads, "d")),
    (Column("batch", "number"), lambda r: str(r.runtime.batch)),
)


def _varied(records: Sequence[Record]) -> list[_ShownColumn[Record]]:
    """The settings that differ between runs; the others are in the title."""
    return [(column, read) for column, read in _RUNS if len({read(r) for r in records}) > 1]


def _same_runs(records: Sequence[Record]) -> str:
    varied = _varied(records)
    same = [(column, read) for column, read in _RUNS if (column, read) not in varied]
    return "".join(f", {column.heading} {read(records[0])}" for column, read in same)


def _verdict(record: Record) -> str:
    if record.failure is not None:
        return record.failure.splitlines()[0]
    broken = ", ".join(reason.rule for reason in record.reasons)
    verdict = {None: "not validated", True: "valid", False: f"invalid: {broken}"}[record.valid]
    return "; ".join(filter(None, (verdict, _placement(record))))


def _placement(record: Record) -> str:
    """Where the ops ran; empty if one delegate took them all."""
    delegate = record.runtime.delegate
    if delegate is None:
        return ""
    fallback = ", ".join(f"{n} {op}" for op, n in (delegate.fallback_ops or {}).items())
    units = ", ".join(f"{n} {unit}" for unit, n in (delegate.ops_by_unit or {}).items())
    pieces = f"{delegate.partitions} partitions" if (delegate.partitions or 0) > 1 else ""
    return ", ".join(filter(None, (pieces, fallback and f"fell back: {fallback}", units)))


def _interval(ratio: Ratio | None) -> str:
    if ratio is None or ratio.low is None or ratio.high is None:
        return DASH
    return f"{ratio.low:.2f}-{ratio.high:.2f}"


def _error(record: Record) -> str:
    error = record.output_error
    if error is not None and error.max_error is None:
        return "NaN"
    return error_text(error.max_error, error.unit) if error else DASH


def _number(value: float | int | None, form: str) -> str:
    return DASH if value is None else format(value, form)


def _millions(value: int | None, form: str) -> str:
    return _number(None if value is None else value / 1e6, form)
