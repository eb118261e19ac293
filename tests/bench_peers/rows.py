"""The results: a row for each model and tool, kept in a file so that a run can go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from agecompact.serialization import read_versioned, write_versioned


class Unusable(Exception):  # noqa: N818 - a row with its reason.
    """A tool made no file, or its file does not run; the message says why, on one line."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of a file.

    Attributes:
        bytes: Its size.
        faces: Number of faces that the errors are of.
        mean_years: Mean absolute difference from PyTorch in float32.
        p99_years: 99th percentile of it.
        max_years: The greatest one.
        mae_change_years: MAE of the file less that of PyTorch, on the same faces; None if they have
            no labels.
        partitions: Pieces of the graph that XNNPACK runs; None if the runtime does not say.
        fallback_ops: Ops that run on reference kernels instead; None if the runtime does not say.
        instructions: Of one inference on a Cortex-A76; None if they were not counted.
        uncounted: Why they were not; empty if they were, or if it is not a TFLite file.
    """

    bytes: int
    faces: int
    mean_years: float
    p99_years: float
    max_years: float
    mae_change_years: float | None = None
    partitions: int | None = None
    fallback_ops: int | None = None
    instructions: int | None = None
    uncounted: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A tool's file of a model.

    Attributes:
        model: Id of the model.
        peer: Name of the tool, a key of `peers.PEERS`.
        digest: Hash of all that it was made from and measured with. If it is another one now, the
            row is measured again.
        versions: Versions of the tools, by distribution name.
        figures: None if there is no file, or it does not run.
        failure: Why; empty if it runs.
    """

    model: str
    peer: str
    digest: str
    versions: Mapping[str, str]
    figures: Figures | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The content of `peers.json`.

    Attributes:
        faces: What the errors are measured on, for people.
        calibration: What the tools were calibrated with, for people.
        rows: In the order of models and tools.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    faces: str
    calibration: str
    rows: tuple[Row, ...] = ()

    def row(self, model: str, peer: str) -> Row | None:
        """The row of a model and a tool; None if there is none."""
        return next((r for r in self.rows if (r.model, r.peer) == (model, peer)), None)

    def with_row(self, row: Row) -> Comparison:
        """The comparison with a row added, or replaced if it has the model and the tool already."""
        others = [r for r in self.rows if (r.model, r.peer) != (row.model, row.peer)]
        return replace(self, rows=(*others, row))

    def ordered(self, models: tuple[str, ...], peers: tuple[str, ...]) -> Comparison:
        """The rows of these tools, sorted by them; models that are not named come last."""

        def place(row: Row) -> tuple[int, int]:
            known = row.model in models
            return models.index(row.model) if known else len(models), peers.index(row.peer)

        kept = (row for row in self.rows if row.peer in peers)
        return replace(self, rows=tuple(sorted(kept, key=place)))


def read(path: Path) -> Comparison | None:
    """The comparison in a file; None if there is no file.

    Raises:
        UsageError: It cannot be read.
    """
    if not path.exists():
        return None
    return read_versioned(path, Comparison, what="comparison", fix=f"rm {path}")


def write(path: Path, comparison: Comparison) -> None:
    """Writes a comparison, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    write_versioned(path, comparison)
