"""The table of a comparison, for a terminal and for a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from agecompact import markdown
from agecompact.tables import Column, Table
from tests.bench_peers.peers import BASELINE, PEERS, Peer
from tests.bench_peers.rows import Comparison, Figures, Row

_COLUMNS = (
    Column("model", "name"),
    Column("made by"),
    Column("bytes", "number"),
    Column("A76 instructions", "number"),
    Column("partitions", "number", rank=2),
    Column("MAE change", "number", rank=1),
    Column("mean", "number", rank=1),
    Column("p99", "number"),
    Column("max", "number", rank=3),
    Column("faces", "number", rank=3),
    Column("note"),
)
_NONE = "-"
_MILLION = 1e6
# Below it, two decimals say nothing.
_ROUNDED = 0.005


def terminal(comparison: Comparison, peers: Mapping[str, Peer] = PEERS) -> Table:
    """The table for a terminal."""
    caption = "\n".join(_notes(comparison))
    return Table(_COLUMNS, tuple(_rows(comparison, peers)), caption=caption)


def document(comparison: Comparison, peers: Mapping[str, Peer] = PEERS) -> str:
    """The table in Markdown, with what it was measured on."""
    rows = ([markdown.escape(cell) for cell in row] for row in _rows(comparison, peers))
    notes = [markdown.escape(note) for note in _notes(comparison)]
    return "\n\n".join(["\n".join(markdown.table(_COLUMNS, rows)), *notes]) + "\n"


def _rows(comparison: Comparison, peers: Mapping[str, Peer]) -> list[tuple[str, ...]]:
    made = []
    for row in comparison.rows:
        base = comparison.row(row.model, BASELINE)
        made.append(_cells(row, peers[row.peer].title, base.figures if base else None))
    return made


def _cells(row: Row, title: str, base: Figures | None) -> tuple[str, ...]:
    found = row.figures
    if found is None:
        gaps = [_NONE] * (len(_COLUMNS) - 3)
        return (row.model, title, *gaps, row.failure)
    change = found.mae_change_years
    return (
        row.model,
        title,
        f"{found.bytes:,}{_share(found.bytes, base.bytes if base else None)}",
        _instructions(found, base),
        _partitions(found),
        # Zero has no sign.
        _NONE if change is None else f"{round(change, 3) + 0.0:+.3f}",
        _years(found.mean_years),
        _years(found.p99_years),
        _years(found.max_years),
        f"{found.faces:,}",
        found.uncounted,
    )


def _instructions(found: Figures, base: Figures | None) -> str:
    if found.instructions is None:
        return _NONE
    whole = base.instructions if base else None
    return f"{found.instructions / _MILLION:.2f} M{_share(found.instructions, whole)}"


def _share(part: int, whole: int | None) -> str:
    return f", {part / whole:.0%}" if whole else ""


def _years(error: float) -> str:
    return f"{error:.2f}" if error >= _ROUNDED else f"{error:.1e}"


def _partitions(found: Figures) -> str:
    if found.partitions is None:
        return _NONE
    return f"{found.partitions}" + (f" + {found.fallback_ops} ops" if found.fallback_ops else "")


def _notes(comparison: Comparison) -> list[str]:
    versions: dict[str, set[str]] = defaultdict(set)
    for row in comparison.rows:
        for name, version in row.versions.items():
            versions[name].add(version)
    listed = ", ".join(
        f"{name} {' and '.join(sorted(versions[name]))}" for name in sorted(versions)
    )
    return [
        f"Errors in years against PyTorch in float32, on {comparison.faces}; calibrated with "
        f"{comparison.calibration}. Shares are of the file of {PEERS[BASELINE].title}. Partitions "
        "are the pieces that XNNPACK runs, and the ops that it leaves to reference kernels. "
        "Instructions are those of LiteRT on a Cortex-A76, so ONNX files have none.",
        f"Versions: {listed}.",
    ]
