"""One table over everything that a build folder's files tell: size, parity, latency, verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.artifacts.manifest import read_builds
from agecompact.bench import store
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.files import read_json

HEADINGS = (
    "model",
    "artefact",
    "size",
    "parity max",
    "parity p99",
    "latency",
    "instructions",
    "on device",
    "status",
)
NUMERIC = frozenset(HEADINGS[2:8])


@dataclass(frozen=True)
class Row:
    """One artefact, as far as it was looked at.

    Attributes:
        model: Registered id.
        artifact: File name.
        file_bytes: Size.
        max_years: Greatest error against PyTorch; None when not compared here.
        p99_years: 99th percentile of the error.
        unit: Unit of both.
        ratio: Latency over the model's float32 TFLite file, both on one host and with the same
            threads; None when not measured here.
        ratio_invalid: Why that may not be believed; empty otherwise.
        instructions: A text an emulated core: instructions per inference, and the core.
        on_device: A text a device: the median latency there, and its name.
        status: `passed`, `failed: <kind>`, `not run here` or `not checked`; where a runtime stood
            in for Core ML, which.
    """

    model: str
    artifact: str
    file_bytes: int
    max_years: float | None
    p99_years: float | None
    unit: str
    ratio: float | None
    ratio_invalid: str
    instructions: tuple[str, ...]
    on_device: tuple[str, ...]
    status: str

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `HEADINGS`."""
        unit = "y" if self.unit == "years" else ""
        return (
            self.model,
            self.artifact,
            f"{self.file_bytes / 1e3:,.1f} kB",
            _or_dash(self.max_years, f"{{:.1e}} {unit}"),
            _or_dash(self.p99_years, f"{{:.1e}} {unit}"),
            _marked(_or_dash(self.ratio, "{:.2f}x"), self.ratio_invalid),
            ", ".join(self.instructions) or "-",
            ", ".join(self.on_device) or "-",
            self.status,
        )


def rows(root: Path) -> tuple[Row, ...]:
    """Reads a build folder.

    Args:
        root: A folder with `<model>/manifest.json`, and `parity.json` and `latency.json` if those
            stops have run. What was measured on another file than the one there is left out.

    Raises:
        UsageError: No build there, or a file that cannot be read.
    """
    builds = read_builds(root)
    parity = _verdicts(root / "parity.json")
    measured = _measured(root / store.FILE_NAME)
    found = []
    for build in builds:
        for entry in build.manifest.artifacts:
            verdict = parity.get((entry.file, entry.sha256), {})
            records = measured.get((entry.file, entry.sha256), [])
            ratio = next((r for r in records if _is_like_its_reference(r)), None)
            found.append(
                Row(
                    model=build.manifest.model,
                    artifact=entry.file,
                    file_bytes=entry.bytes,
                    max_years=verdict.get("max_years"),
                    p99_years=verdict.get("p99_years"),
                    unit=build.manifest.contract.output.unit,
                    ratio=ratio.ratio.median if ratio and ratio.ratio else None,
                    ratio_invalid=_why_invalid(ratio) if ratio else "",
                    instructions=tuple(_count(r) for r in records if r.instructions),
                    on_device=tuple(_time(r) for r in records if r.source == "device"),
                    status=_status(verdict),
                )
            )
    return tuple(found)


def to_markdown(table: Sequence[Row]) -> str:
    """The table in GitHub's Markdown."""
    lines = [
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "|".join("---:" if h in NUMERIC else "---" for h in HEADINGS) + "|",
    ]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in table]
    return "\n".join(lines) + "\n"


def _verdicts(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By file and hash the verdict that counts, of the runtimes that the file was asked of.

    That is the first failure; without one the first that passed, which is the nearest to a phone's;
    and only where none ran, that none did.
    """
    if not path.is_file():
        return {}
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for verdict in read_json(path, what=path.stem).get("results", []):
        key = verdict["artifact"], verdict["sha256"]
        if key not in told or _weight(verdict) > _weight(told[key]):
            told[key] = verdict
    return told


def _weight(verdict: dict[str, Any]) -> int:
    return ("skipped", "passed", "failed").index(verdict["status"])


def _measured(path: Path) -> dict[tuple[str, str], list[Record]]:
    """Records by file and hash, judged by the rules of today."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in store.read(path) if path.is_file() else ():
        found[record.artifact.file, record.artifact.sha256].append(validated(record))
    return found


def _is_like_its_reference(record: Record) -> bool:
    runtime, ratio = record.runtime, record.ratio
    return ratio is not None and (runtime.threads, runtime.batch) == (ratio.reference_threads, 1)


def _count(record: Record) -> str:
    assert record.instructions is not None
    told = f"{record.instructions.total / 1e6:.2f}M {record.machine.cpu}{_how(record)}"
    return _marked(told, _why_invalid(record))


def _time(record: Record) -> str:
    device = record.machine.name or record.machine.cpu
    if record.latency is None:
        return f"- {device}{_how(record)}"
    told_ms = record.latency.p50_ms or record.latency.mean_ms
    return _marked(f"{told_ms:.2f} ms {device}{_how(record)}", _why_invalid(record))


def _how(record: Record) -> str:
    """What is worth saying of how it ran; nothing of one thread and one face."""
    runtime = record.runtime
    threads = f" {runtime.threads} threads" if (runtime.threads or 1) > 1 else ""
    return threads + (f" batch {runtime.batch}" if runtime.batch > 1 else "")


def _why_invalid(record: Record) -> str:
    return ", ".join(reason.rule for reason in record.reasons)


def _marked(told: str, why_invalid: str) -> str:
    return f"{told} (invalid: {why_invalid})" if why_invalid else told


def _status(verdict: dict[str, Any]) -> str:
    if not verdict:
        return "not checked"
    if verdict["kind"] == "missing":
        return "not run here"
    told = verdict["status"] if verdict["kind"] is None else f"failed: {verdict['kind']}"
    # What stands in for Core ML is never taken for it.
    return f"{told} ({verdict['label']})" if verdict["runtime"].startswith("mil") else told


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value).strip()
