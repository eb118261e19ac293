"""Records for people: never a time without the machine it was taken on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from agecompact.bench.circumstances import Machine
from agecompact.bench.diff import Row
from agecompact.bench.figures import Memory
from agecompact.bench.record import Artifact, Record, Source
from agecompact.bench.timing import Startup

if TYPE_CHECKING:
    from rich.table import Table

_DASH = "-"
_LONGEST_OPS = 10


def measured(records: Sequence[Record]) -> Iterator[Table]:
    """A table for each machine and kind of figure, the machine in its title."""

    def place(record: Record) -> tuple[str, str]:
        return record.source, where(record.machine)

    for (source, machine), group in groupby(sorted(records, key=place), key=place):
        yield _TABLES[source](machine, tuple(group))


def where(machine: Machine) -> str:
    """The machine in one line."""
    told = (machine.name, machine.soc, machine.cpu, machine.emulator, machine.os)
    return ", ".join(text for text in told if text)


def _times(machine: str, records: Sequence[Record]) -> Table:
    varied = _varied(records)
    faces = ("ms/face",) if any(r.runtime.batch > 1 for r in records) else ()
    table = _table(
        f"Latency{_same_runs(records)}\n{machine}",
        "ratio: a face, to the model's float32 TFLite file on the fewest threads, paired by round "
        "(95 % interval)\ncold: start of a process to its first answer; error: on the golden pack",
        ("file", *varied),
        ("ratio", *faces, "p50 ms", "p90 ms", "first ms", "cold ms", "MB", "error"),
        ("verdict",),
    )
    for r in records:
        startup, memory = r.startup or Startup(), r.memory or Memory()
        model_mb = None if memory.model_rss_bytes is None else memory.model_rss_bytes / 1e6
        table.add_row(
            r.artifact.file,
            *(read(r) for read in varied.values()),
            ratio(r),
            *(_number(r.p50_face_ms, ".3f") for _ in faces),
            _number(r.latency.p50_ms if r.latency else None, ".3f"),
            _number(r.latency.p90_ms if r.latency else None, ".3f"),
            _number(startup.first_inference_ms, ".2f"),
            _number(startup.cold_start_ms, ".0f"),
            _number(model_mb, ".1f"),
            _error(r),
            _verdict(r),
        )
    return table


def _counts(machine: str, records: Sequence[Record]) -> Table:
    varied = _varied(records)
    kinds = ("load", "store", "mul-acc", "SIMD", "branch", "first", "init")
    table = _table(
        f"ARM instructions per inference{_same_runs(records)}\n{machine}",
        "millions, counted, not timed: they rank artefacts on such a core and are no latency\n"
        "x bound: how many times what the multiply-accumulates alone would take",
        ("file", *varied),
        ("all", *kinds, "x bound", "error"),
        ("verdict",),
    )
    for r in records:
        told = r.instructions
        counts: Sequence[int | None] = (None,) * (1 + len(kinds))
        if told is not None:
            parts = (told.load, told.store, told.multiply_accumulate, told.simd, told.branch)
            counts = (told.total, *parts, told.first, told.init)
        table.add_row(
            r.artifact.file,
            *(read(r) for read in varied.values()),
            *(_number(None if n is None else n / 1e6, ".2f") for n in counts),
            _number(told.over_bound if told else None, ".1f"),
            _error(r),
            _verdict(r),
        )
    return table


def _modelled(machine: str, records: Sequence[Record]) -> Table:
    table = _table(
        f"Modelled, not measured: {machine}", "", ("file",), ("ms",), ("kind", "method", "verdict")
    )
    for r in records:
        told = r.modelled
        figures = (f"{told.inference_ms:.3f}", told.kind, told.method) if told else (_DASH,) * 3
        table.add_row(r.artifact.file, *figures, _verdict(r))
    return table


_TABLES: Mapping[Source | str, Callable[[str, Sequence[Record]], Table]] = {
    "device": _times,
    "host": _times,
    "emulated-instructions": _counts,
    "modelled": _modelled,
}


def sizes(artifacts: Iterable[Artifact]) -> Table:
    """What the bytes of each artefact are, each file once."""
    table = _table(
        "Bytes of an artefact",
        "deflated: as an APK or IPA carries it; bound: folded parameters x bytes of the precision",
        ("file",),
        ("bytes", "weights", "graph", "metadata", "deflated", "bound", "over bound"),
        (),
    )
    for artifact in {a.file: a for a in artifacts}.values():
        size = artifact.size
        if size is None:
            table.add_row(artifact.file, f"{artifact.file_bytes:,}", *[_DASH] * 6)
            continue
        bound = size.bound_bytes
        table.add_row(
            artifact.file,
            f"{artifact.file_bytes:,}",
            f"{size.weights_bytes:,}",
            f"{size.graph_bytes:,}",
            f"{size.metadata_bytes:,}",
            f"{size.deflated_bytes:,}",
            _number(bound, ","),
            _number(bound and artifact.file_bytes - bound, "+,"),
        )
    return table


def profiles(records: Iterable[Record]) -> Iterator[Table]:
    """The longest ops of each record that has been profiled."""
    for record in records:
        if record.profile is None:
            continue
        whole_ms = sum(op.mean_ms for op in record.profile)
        table = _table(
            f"{record.artifact.file}{_same_runs((record,))}, by op\n{where(record.machine)}",
            f"{len(record.profile)} ops take {whole_ms:.3f} ms under the profiler",
            ("op", "kind"),
            ("runs", "ms", "share"),
            (),
        )
        for op in record.profile[:_LONGEST_OPS]:
            share = f"{op.mean_ms / whole_ms:.0%}" if whole_ms else _DASH
            table.add_row(op.name, op.kind, str(op.runs), f"{op.mean_ms:.3f}", share)
        yield table


def compared(rows: Iterable[Row]) -> Table:
    """What two runs say of each other."""
    table = _table(
        "B against A", "", ("file", "measured"), ("figure", "A", "B", "change"), ("verdict",)
    )
    for row in rows:
        subject = row.subject
        runs = f"{subject.threads} thr, batch {subject.batch}" if subject.threads else ""
        how = ", ".join(filter(None, (subject.source, subject.runtime, runs, subject.delegate)))
        table.add_row(
            subject.file,
            how,
            row.figure,
            _number(row.before, ",.6g"),
            _number(row.after, ",.6g"),
            _number(row.change, "+.1%"),
            f"{row.verdict}: {row.reason}" if row.reason else row.verdict,
        )
    return table


def ratio(record: Record) -> str:
    """The ratio to the reference with its interval."""
    told = record.ratio
    if told is None:
        return _DASH
    interval = f" ({told.low:.2f}-{told.high:.2f})" if told.low and told.high else ""
    return f"{told.median:.2f}{interval}"


def _table(
    title: str,
    caption: str,
    left: Sequence[str],
    right: Sequence[str],
    last: Sequence[str],
) -> Table:
    from rich.table import Table

    table = Table(title=title, caption=caption or None)
    for heading in left:
        table.add_column(heading, overflow="fold", no_wrap=heading == "file")
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in last:
        table.add_column(heading, overflow="fold")
    return table


_RUNS: Mapping[str, Callable[[Record], str]] = {
    "threads": lambda r: _number(r.runtime.threads, "d"),
    "batch": lambda r: str(r.runtime.batch),
}


def _varied(records: Sequence[Record]) -> Mapping[str, Callable[[Record], str]]:
    """Columns of what differs between the runs; what does not stands in the title."""
    return {name: read for name, read in _RUNS.items() if len({read(r) for r in records}) > 1}


def _same_runs(records: Sequence[Record]) -> str:
    varied = _varied(records)
    same = [f", {name} {read(records[0])}" for name, read in _RUNS.items() if name not in varied]
    return "".join(same)


def _verdict(record: Record) -> str:
    if record.failure is not None:
        return record.failure.splitlines()[0]
    broken = ", ".join(reason.rule for reason in record.reasons)
    verdict = {None: "not judged", True: "valid", False: f"invalid: {broken}"}[record.valid]
    return "; ".join(filter(None, (verdict, _placement(record))))


def _placement(record: Record) -> str:
    """What is worth knowing of where the ops ran; nothing where one delegate took them all."""
    delegate = record.runtime.delegate
    if delegate is None:
        return ""
    fallback = ", ".join(f"{n} {op}" for op, n in (delegate.fallback_ops or {}).items())
    units = ", ".join(f"{n} {unit}" for unit, n in (delegate.ops_by_unit or {}).items())
    pieces = f"{delegate.partitions} partitions" if (delegate.partitions or 0) > 1 else ""
    return ", ".join(filter(None, (pieces, fallback and f"fell back: {fallback}", units)))


def _error(record: Record) -> str:
    error = record.output_error
    if error is None:
        return _DASH
    unit = "y" if error.unit == "years" else ""
    return "NaN" if error.max_error is None else f"{error.max_error:.1e} {unit}".strip()


def _number(value: float | int | None, form: str) -> str:
    return _DASH if value is None else format(value, form)
