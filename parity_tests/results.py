"""The result of checking one artefact in one runtime, and the file that holds all results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from agecompact.contract import Unit
from agecompact.serialization import read_versioned, unstructure, write_versioned
from parity_tests.tolerances import Tolerance

FILE_NAME = "parity.json"

Status = Literal["passed", "failed", "skipped"]

# The kinds of failure, in the order in which they are checked: the first one found is reported.
KINDS: Mapping[str, str] = {
    "missing": "its runtime is not available on this machine: skipped, never passed",
    "conversion": "it was not made, or not with the requested settings",
    "load": "the runtime cannot load the file",
    "metadata": "its metadata is missing, unreadable or differs from the manifest",
    "names": "an input or output has another name than in the contract",
    "order": "the inputs are in another order than in the contract",
    "dtypes": "an input or output has another dtype than in the contract",
    "shapes": "an input or output has another shape than in the contract",
    "interface": "an app sees something that no contract has, such as an optional input",
    "run": "the runtime loads the file and fails on an input",
    "crash": "the file crashes the runtime",
    "timeout": "the runtime does not reply in time",
    "not-finite": "an output is NaN or infinite",
    "degenerate": "the output is the same for every input",
    "mismatch": "the outputs differ from the reference's by more than the tolerance",
    "task": "its error on labelled faces differs from the reference's",
    "weights": "its outputs pass, but its weights are not the ones it was converted from",
    "regression": "it passes, but its error has grown since the baseline",
    "integrity": "it passes, but it is not the file that was built",
}


class Failure(Exception):  # noqa: N818 - becomes a Result, never reaches the user as an error.
    """Why an artefact fails.

    Attributes:
        kind: A key of `KINDS`.
        reason: The failure in words.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class Result:
    """The result of checking one artefact in one runtime.

    Attributes:
        model: Registered id; for a foreign pair, the reference's file name.
        artifact: File name.
        precision: Precision of its weights.
        runtime: The runtime, a key of `agecompact.formats.RUNTIMES`.
        label: That runtime in words; the reference runtime is never called Core ML.
        status: `skipped` only if the runtime is not available on this machine.
        kind: A key of `KINDS`, or None if it passed.
        reason: The failure in words; empty if it passed.
        unit: Unit of the errors below: for a gender score they are in score, not in years.
        tolerance: The gates that were applied, in that unit.
        sha256: Hash of the file that was checked; None if the file is missing.
        runtime_version: Version of the runtime, or None if it was not reached.
        max_years: Greatest error over the fixed inputs; None if not compared.
        p99_years: 99th percentile of the error over the fixed inputs.
        mean_years: Mean error over the fixed inputs.
        worst_sample: Name of the fixed input with the greatest error.
        samples: Number of fixed inputs that were compared.
        searched_years: Greatest error that the search found; None if it did not run.
        searched: Number of inputs that the search tried.
        mae_years: |MAE(artefact) - MAE(reference)| on labelled faces; None if none were given.
        artifact_mae_years: MAE of the artefact on them.
        reference_mae_years: MAE of the reference on them.
        faces: Number of labelled faces.
        localisation: Where the error originates, as `parity_tests.localisation` reports it; None
            if it was not looked for.
        seconds: Duration of the check.
    """

    model: str
    artifact: str
    precision: str
    runtime: str
    label: str
    status: Status
    kind: str | None
    reason: str
    unit: Unit
    tolerance: Tolerance
    sha256: str | None = None
    runtime_version: str | None = None
    max_years: float | None = None
    p99_years: float | None = None
    mean_years: float | None = None
    worst_sample: str | None = None
    samples: int = 0
    searched_years: float | None = None
    searched: int = 0
    mae_years: float | None = None
    artifact_mae_years: float | None = None
    reference_mae_years: float | None = None
    faces: int = 0
    localisation: Mapping[str, Any] | None = None
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """Identifies the same check in another run."""
        return self.model, self.artifact, self.runtime

    @property
    def name(self) -> str:
        """Artefact and runtime, for people."""
        return f"{self.artifact} in {self.label}"

    @property
    def verdict(self) -> str:
        """`passed`, `not run here`, or the failure's kind, for people."""
        if self.status == "skipped":
            return "not run here"
        return self.status if self.kind is None else f"{self.status}: {self.kind}"


@dataclass(frozen=True)
class ParityReport:
    """The content of `parity.json`.

    Attributes:
        passed: Whether nothing failed and something was compared.
        results: One per artefact and runtime.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    passed: bool
    results: tuple[Result, ...]


def passed(results: Sequence[Result]) -> bool:
    """Whether nothing failed and something was compared."""
    statuses = {result.status for result in results}
    return "failed" not in statuses and "passed" in statuses


def report_of(results: Sequence[Result]) -> ParityReport:
    """The report that holds these results."""
    return ParityReport(passed(results), tuple(results))


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The content of `parity.json` as JSON values."""
    content: dict[str, Any] = unstructure(report_of(results))
    return content


def write(path: Path, results: Sequence[Result]) -> None:
    """Writes `parity.json`, whole or not at all."""
    write_versioned(path, report_of(results))


def read(path: Path) -> tuple[Result, ...]:
    """Reads what `write` wrote.

    Raises:
        UsageError: The file is missing, has another schema version, or a field is missing,
            unknown or of the wrong type.
    """
    fix = "make it again with: agecompact parity"
    return read_versioned(path, ParityReport, what="parity report", fix=fix).results
