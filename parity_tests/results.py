"""The verdict on one artefact in one runtime, and the file that holds all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agecompact.contract import Unit
from agecompact.errors import UsageError
from agecompact.files import pretty_json, read_json, write_text
from parity_tests.tolerances import Tolerance

SCHEMA_VERSION = 2
FILE_NAME = "parity.json"

Status = Literal["passed", "failed", "skipped"]

# What can be wrong, in the order in which it is looked for: the first that is found is told.
KINDS: Mapping[str, str] = {
    "missing": "its runtime is not of this machine: skipped, never passed",
    "conversion": "it was not made, or not as asked",
    "load": "the runtime refuses the file",
    "metadata": "what it says of itself is missing, unreadable or not what the build says",
    "names": "an input or output is not named as the contract says",
    "order": "inputs do not stand in the contract's order",
    "shapes": "an input or output has another shape than the contract says",
    "dtypes": "an input or output has another dtype than the contract says",
    "run": "the runtime loads the file and fails on an input",
    "crash": "the runtime died of it",
    "timeout": "the runtime did not answer",
    "not-finite": "it answers NaN or Inf",
    "degenerate": "it answers the same to everything",
    "mismatch": "it answers otherwise than PyTorch, by more than the tolerance",
    "task": "its error against labels is not PyTorch's",
    "weights": "its answers pass, but its weights are not those it was made from",
    "regression": "it passes, but by less than it did in the baseline",
    "integrity": "it passes, but is not the file that was built",
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
    """The verdict on one artefact in one runtime.

    Attributes:
        model: Registered id; of a foreign pair, the reference's file name.
        artifact: File name.
        precision: Of its weights.
        runtime: What ran it, a key of `agecompact.formats.RUNTIMES`.
        label: That runtime in words; `reference runtime` is never called Core ML.
        status: `skipped` only where the runtime is not of this machine.
        kind: A key of `KINDS`, or None when passed.
        reason: The failure in words; empty when passed.
        unit: Unit of the figures below: for a gender score they are in score, not in years.
        tolerance: The gates that were applied, in that unit.
        sha256: Hash of the file that was checked; None where it is missing.
        runtime_version: Its version, or None where it was not reached.
        max_years: Greatest error over the fixed inputs; None when not compared.
        p99_years: 99th percentile of the error over the fixed inputs.
        mean_years: Mean error over the fixed inputs.
        worst_sample: Name of the fixed input with the greatest error.
        samples: How many fixed inputs were compared.
        searched_years: Greatest error that the search came to; None where it did not run.
        searched: How many inputs the search tried.
        mae_years: |MAE(artefact) - MAE(PyTorch)| on labelled faces; None where none were given.
        faces: How many labelled faces.
        localisation: Where the error is born, as `parity_tests.localisation` tells it; None unless
            asked for.
        seconds: What the check took.
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
    faces: int = 0
    localisation: Mapping[str, Any] | None = None
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What the same check of another day is found by."""
        return self.model, self.artifact, self.runtime


def passed(results: Sequence[Result]) -> bool:
    """Whether nothing failed, and something was really compared."""
    statuses = {result.status for result in results}
    return "failed" not in statuses and "passed" in statuses


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The content of `parity.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": passed(results),
        "results": [asdict(result) for result in results],
    }


def write(path: Path, results: Sequence[Result]) -> None:
    """Writes `parity.json`, whole or not at all."""
    write_text(path, pretty_json(as_json(results)))


def read(path: Path) -> tuple[Result, ...]:
    """Reads what `write` wrote.

    Raises:
        UsageError: No such file, another schema version, or a field missing or unknown.
    """
    content = read_json(path, what="parity report")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version!r}",
            why=f"this agecompact reads version {SCHEMA_VERSION}",
            fix="make it again with: agecompact parity",
        )
    try:
        return tuple(
            Result(**{**row, "tolerance": Tolerance(**row["tolerance"])})
            for row in content["results"]
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error)) from None
