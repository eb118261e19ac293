"""Tables of records, each with the machine in its title."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from agecompact.bench.circumstances import Machine
from agecompact.bench.diff import Comparison
from agecompact.bench.figures import Memory
from agecompact.bench.record import Artifact, Record
from agecompact.bench.store import MeasurementKey
from agecompact.bench.timing import Ratio, Startup
from agecompact.tables import Column, Table

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


def _times(machine: str, records: Sequence[Record]) -> Table:
    varied = _varied(records)
    batched = any(r.runtime.batch > 1 for r in records)
    columns = (
        Column("file", "name"),
        *(Column(name, "number") for name in varied),
        Column("ratio", "number"),
        Column("95 % interval", "number", rank=2),
        *((Column("ms/face", "number"),) if batched else ()),
        Column("p50 ms", "number", rank=1 if batched else 0),
        Column("p90 ms", "number", rank=2),
        Column("first ms", "number", rank=3),
        Column("cold ms", "number", rank=3),
        Column("MB", "number", rank=3),
        Column("error", "number", rank=1),
        Column("verdict"),
    )
    rows = []
    for r in records:
        startup, memory = r.startup or Startup(), r.memory or Memory()
        model_mb = None if memory.model_rss_bytes is None else memory.model_rss_bytes / 1e6
        rows.append(
            (
                r.artifact.file,
                *(read(r) for read in varied.values()),
                _number(r.ratio.median if r.ratio else None, ".2f"),
                _interval(r.ratio),
                *((_number(r.p50_face_ms, ".3f"),) if batched else ()),
                _number(r.latency.p50_ms if r.latency else None, ".3f"),
                _number(r.latency.p90_ms if r.latency else None, ".3f"),
                _number(startup.first_inference_ms, ".2f"),
                _number(startup.cold_start_ms, ".0f"),
                _number(model_mb, ".1f"),
                _error(r),
                _verdict(r),
            )
        )
    caption = (
        "ratio: latency per face relative to the model's float32 TFLite file on the fewest "
        "threads, paired by round\ncold: from the start of a process to its first output; "
        "MB: memory that the model added; error: largest on the golden pack"
    )
    return known_columns(f"Latency{_same_runs(records)}\n{machine}", caption, columns, rows)


def _counts(machine: str, records: Sequence[Record]) -> Table:
    varied = _varied(records)
    columns = (
        Column("file", "name"),
        *(Column(name, "number") for name in varied),
        Column("total", "number"),
        Column("x bound", "number", rank=1),
        Column("load", "number", rank=2),
        Column("store", "number", rank=2),
        Column("mul-acc", "number", rank=2),
        Column("SIMD", "number", rank=2),
        Column("branch", "number", rank=2),
        Column("first", "number", rank=3),
        Column("init", "number", rank=3),
        Column("error", "number", rank=1),
        Column("verdict"),
    )
    rows = []
    for r in records:
        counted = r.instructions
        counts: Sequence[int | None] = (None,) * 8
        if counted is not None:
            counts = (
                counted.total,
                counted.load,
                counted.store,
                counted.multiply_accumulate,
                counted.simd,
                counted.branch,
                counted.first,
                counted.init,
            )
        total, *others = (_number(None if n is None else n / 1e6, ".2f") for n in counts)
        rows.append(
            (
                r.artifact.file,
                *(read(r) for read in varied.values()),
                total,
                _number(counted.over_bound if counted else None, ".1f"),
                *others,
                _error(r),
                _verdict(r),
            )
        )
    caption = (
        "millions of instructions, counted: they rank artefacts on such a core and are not a "
        "latency\nx bound: ratio to what the multiply-accumulates alone need; error: largest on "
        "the golden pack"
    )
    title = f"ARM instructions per inference{_same_runs(records)}\n{machine}"
    return known_columns(title, caption, columns, rows)


def sizes(artifacts: Iterable[Artifact]) -> Table:
    """Returns the breakdown of each artefact's bytes, each file once."""
    columns = (
        Column("file", "name"),
        Column("bytes", "number"),
        Column("weights", "number", rank=1),
        Column("graph", "number", rank=3),
        Column("metadata", "number", rank=3),
        Column("deflated", "number", rank=1),
        Column("bound", "number", rank=3),
        Column("over bound", "number", rank=2),
    )
    rows = []
    for artifact in {a.file: a for a in artifacts}.values():
        size = artifact.size
        parts = (DASH,) * 6
        if size is not None:
            bound = size.bound_bytes
            parts = (
                f"{size.weights_bytes:,}",
                f"{size.graph_bytes:,}",
                f"{size.metadata_bytes:,}",
                f"{size.deflated_bytes:,}",
                _number(bound, ","),
                _number(bound and artifact.file_bytes - bound, "+,"),
            )
        rows.append((artifact.file, f"{artifact.file_bytes:,}", *parts))
    caption = "deflated: as in an APK or IPA; bound: folded parameters x bytes of the precision"
    return known_columns("Bytes of an artefact", caption, columns, rows)


def profiles(records: Iterable[Record]) -> Iterator[Table]:
    """Yields the longest ops of each record with a profile."""
    columns = (
        Column("op", "name"),
        Column("kind", "name", rank=1),
        Column("runs", "number", rank=2),
        Column("ms", "number"),
        Column("share", "number"),
    )
    for record in records:
        if record.profile is None:
            continue
        total_ms = sum(op.mean_ms for op in record.profile)
        rows = [
            (
                op.name,
                op.kind,
                str(op.runs),
                f"{op.mean_ms:.3f}",
                f"{op.mean_ms / total_ms:.0%}" if total_ms else DASH,
            )
            for op in record.profile[:_LONGEST_OPS]
        ]
        title = f"{record.artifact.file}{_same_runs((record,))}, by op\n{where(record.machine)}"
        caption = f"{len(record.profile)} ops take {total_ms:.3f} ms under the profiler"
        yield known_columns(title, caption, columns, rows)


def compared(comparisons: Sequence[Comparison]) -> Iterator[Table]:
    """Yields the comparisons of two files, a table for each way of measuring."""
    columns = (
        Column("file", "name"),
        Column("figure", "name"),
        Column("A", "number", rank=1),
        Column("B", "number", rank=1),
        Column("change", "number"),
        Column("verdict"),
    )

    def how(comparison: Comparison) -> str:
        return _how(comparison.subject)

    for title, group in groupby(sorted(comparisons, key=how), key=how):
        rows = [
            (
                c.subject.file,
                c.figure,
                _number(c.before, ",.6g"),
                _number(c.after, ",.6g"),
                _number(c.change, "+.1%"),
                f"{c.verdict}: {c.reason}" if c.reason else c.verdict,
            )
            for c in group
        ]
        yield known_columns(f"B against A\n{title}", "", columns, rows)


def _how(key: MeasurementKey) -> str:
    runs = f"{key.threads} threads, batch {key.batch}" if key.threads else ""
    return ", ".join(filter(None, (key.source, key.runtime, runs, key.delegate)))


_RUNS: Mapping[str, Callable[[Record], str]] = {
    "threads": lambda r: _number(r.runtime.threads, "d"),
    "batch": lambda r: str(r.runtime.batch),
}


def _varied(records: Sequence[Record]) -> Mapping[str, Callable[[Record], str]]:
    """The settings that differ between runs, as columns; the others are in the title."""
    return {name: read for name, read in _RUNS.items() if len({read(r) for r in records}) > 1}


def _same_runs(records: Sequence[Record]) -> str:
    varied = _varied(records)
    same = [f", {name} {read(records[0])}" for name, read in _RUNS.items() if name not in varied]
    return "".join(same)


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
    if error is None:
        return DASH
    unit = "y" if error.unit == "years" else ""
    return "NaN" if error.max_error is None else f"{error.max_error:.1e} {unit}".strip()


def _number(value: float | int | None, form: str) -> str:
    return DASH if value is None else format(value, form)
