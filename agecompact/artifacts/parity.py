"""`parity.json`: what `parity` found out about every artefact, for the stages after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from agecompact.serialization import read_versioned

FILE_NAME = "parity.json"

Status = Literal["passed", "failed", "skipped"]

# Ages at which apps decide: of majority, and those from which shops ask for a document (NIST's Face
# Age Estimation and Verification has the same ones).
AGES = (18, 21, 25)


@dataclass(frozen=True)
class CoveredRange:
    """The lowest and the highest output of the reference, over the inputs that were compared.

    Attributes:
        low: The lowest output, in `unit`.
        high: The highest output, in `unit`.
        unit: Unit of both.
    """

    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Tolerance:
    """The gates of one artefact, in the output's unit.

    Attributes:
        max: Greatest error over the fixed inputs.
        searched: Greatest error over the inputs that searches find.
        p99: 99th percentile of the error.
        mean: Mean error.
        mae: |MAE(artefact) - MAE(reference)| on labelled faces.
        reason: Why these values.
        flips: Share of labelled faces whose answer may cross an age of `AGES`; None in older
            reports.
    """

    max: float
    searched: float
    p99: float
    mean: float
    mae: float
    reason: str
    flips: float | None = None


@dataclass(frozen=True)
class Float64Check:
    """How far a reference that computes in float32 is from float64.

    Attributes:
        inputs: Number of inputs on which the two were compared.
        error: Greatest error on them, in the result's unit; None if they were not compared.
        reason: Why they were not compared; empty if they were.
    """

    inputs: int = 0
    error: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Quantiles:
    """How errors are distributed over inputs, in the result's unit.

    Attributes:
        p10: A tenth of the inputs have a smaller error.
        p25: A quarter have.
        p50: Half have.
        p75: Three quarters have.
        p90: Nine tenths have.
    """

    p10: float
    p25: float
    p50: float
    p75: float
    p90: float


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
        kind: A key of `parity_tests.results.KINDS`, or None if it passed.
        reason: The failure in words; empty if it passed.
        unit: Unit of the errors below: degrees for a pose, say.
        tolerance: The gates that were applied, in that unit; None if they depend on outputs that
            were not compared.
        output: Name of the output that was compared; empty if the model has one only, or if the
            check failed before its outputs were compared.
        sha256: Hash of the file that was checked; None if the file is missing.
        runtime_version: Version of the runtime, or None if it was not reached.
        max_error: Greatest error over the fixed inputs; None if not compared.
        p99_error: 99th percentile of the error over the fixed inputs.
        mean_error: Mean error over the fixed inputs.
        quantiles: Quantiles of the error over the fixed inputs; None if not compared.
        worst_sample: Name of the fixed input with the greatest error.
        samples: Number of fixed inputs that were compared.
        searched_error: Greatest error over the inputs that searches found: those that drive the
            reference over its range, and those that increase the error. None if not compared, or
            if a fixed input fails.
        searched: Number of those inputs.
        covered: Range of the reference's answers over all inputs, for each value; empty if not
            compared.
        mae_years: |MAE(artefact) - MAE(reference)| on labelled faces; None if none were given.
        artifact_mae_years: MAE of the artefact on them.
        reference_mae_years: MAE of the reference on them.
        flips_at_18: Share of them that one of the two takes for younger than 18, and the other does
            not; None without labelled faces, or if the answer is no age.
        flips_at_21: Likewise for 21.
        flips_at_25: Likewise for 25.
        faces: Number of labelled faces.
        localisation: Where the error originates, as `parity_tests.localisation` reports it; None
            if it was not looked for.
        float64: How far the reference itself is from float64; None if it is not an ONNX file, or if
            the check failed before.
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
    unit: str
    tolerance: Tolerance | None
    output: str = ""
    sha256: str | None = None
    runtime_version: str | None = None
    max_error: float | None = None
    p99_error: float | None = None
    mean_error: float | None = None
    quantiles: Quantiles | None = None
    worst_sample: str | None = None
    samples: int = 0
    searched_error: float | None = None
    searched: int = 0
    covered: tuple[CoveredRange, ...] = ()
    mae_years: float | None = None
    artifact_mae_years: float | None = None
    reference_mae_years: float | None = None
    flips_at_18: float | None = None
    flips_at_21: float | None = None
    flips_at_25: float | None = None
    faces: int = 0
    localisation: Mapping[str, Any] | None = None
    float64: Float64Check | None = None
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the same check in another run."""
        return self.model, self.artifact, self.runtime, self.output

    @property
    def name(self) -> str:
        """Artefact, output and runtime, for people."""
        return f"{self.artifact}{f' [{self.output}]' if self.output else ''} in {self.label}"

    @property
    def verdict(self) -> str:
        """`passed`, `not run here`, or the failure's kind, for people."""
        if self.status == "skipped":
            return "not run here"
        return self.status if self.kind is None else f"{self.status}: {self.kind}"

    @property
    def mae_change(self) -> float | None:
        """MAE of the artefact less that of the reference; None without labelled faces."""
        if self.artifact_mae_years is None or self.reference_mae_years is None:
            return None
        return self.artifact_mae_years - self.reference_mae_years

    @property
    def flips(self) -> Mapping[int, float]:
        """The share of labelled faces whose answer crosses an age, by age; empty if not known."""
        shares = {18: self.flips_at_18, 21: self.flips_at_21, 25: self.flips_at_25}
        return {age: share for age, share in shares.items() if share is not None}


@dataclass(frozen=True)
class ParityReport:
    """The content of `parity.json`.

    Attributes:
        passed: Whether nothing failed and something was compared.
        results: One per artefact and runtime.
    """

    SCHEMA_VERSION: ClassVar[int] = 6

    passed: bool
    results: tuple[Result, ...]

    @staticmethod
    def of_version(version: Any, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `serialization.SeveralVersions`: 4 had no quantiles, 5 no flips."""
        return dict(fields) if version in (4, 5) else None

    def to_version(self, fields: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """See `serialization.SeveralVersions`."""
        return self.SCHEMA_VERSION, dict(fields)


def read(path: Path) -> tuple[Result, ...]:
    """Reads a `parity.json`.

    Raises:
        UsageError: The file is missing, has another schema version, or a field is missing,
            unknown or of the wrong type.
    """
    fix = "make it again with: agecompact parity"
    return read_versioned(path, ParityReport, what="parity report", fix=fix).results
