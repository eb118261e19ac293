"""One table over everything that a build folder's files tell: size, parity, latency, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.files import read_json
from agecompact.manifest import read_builds

HEADINGS = ("model", "artefact", "size", "parity max", "parity p99", "latency", "status")
NUMERIC = frozenset(HEADINGS[2:6])


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
        ratio: Latency over the model's float32 TFLite file; None when not measured here.
        status: `passed`, `failed: <kind>`, `not run here` or `not checked`.
    """

    model: str
    artifact: str
    file_bytes: int
    max_years: float | None
    p99_years: float | None
    unit: str
    ratio: float | None
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
            _or_dash(self.ratio, "{:.2f}x"),
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
    parity = _by_artifact(root / "parity.json", "results")
    latency = _by_artifact(root / "latency.json", "records")
    found = []
    for build in builds:
        for entry in build.manifest.artifacts:
            verdict = parity.get((entry.file, entry.sha256), {})
            record = latency.get((entry.file, entry.sha256), {})
            found.append(
                Row(
                    model=build.manifest.model,
                    artifact=entry.file,
                    file_bytes=entry.bytes,
                    max_years=verdict.get("max_years"),
                    p99_years=verdict.get("p99_years"),
                    unit=build.manifest.contract.output.unit,
                    ratio=record.get("ratio_to_reference"),
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


def _by_artifact(path: Path, key: str) -> dict[tuple[str, str], dict[str, Any]]:
    if not path.is_file():
        return {}
    items = read_json(path, what=path.stem).get(key, [])
    return {(item["artifact"], item["sha256"]): item for item in items}


def _status(verdict: dict[str, Any]) -> str:
    if not verdict:
        return "not checked"
    if verdict["kind"] == "missing":
        return "not run here"
    return (
        verdict["status"] if verdict["kind"] is None else f"{verdict['status']}: {verdict['kind']}"
    )


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value).strip()
