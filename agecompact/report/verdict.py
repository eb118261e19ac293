"""Whether the artefacts of a build give PyTorch's answers, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agecompact.report.evidence import Artifact, Evidence

Outcome = Literal["passed", "failed", "incomplete"]


@dataclass(frozen=True)
class Worst:
    """The greatest error among all answers of one unit.

    Attributes:
        error: The error.
        unit: Its unit.
        artifact: File name of the artefact.
        allowed: What its gate allows; None if it had none.
    """

    error: float
    unit: str
    artifact: str
    allowed: float | None


@dataclass(frozen=True)
class Verdict:
    """The verdict on a build.

    Attributes:
        outcome: `failed` if an artefact failed or was not made; `incomplete` if one was not
            checked, or none ran; else `passed`.
        artifacts: Number of artefacts that were requested.
        passed: How many passed.
        failed: How many failed.
        not_run: How many no runtime of the machine that checked them could run.
        not_checked: How many were not checked as they are now.
        not_made: How many conversions failed.
        worst: The greatest error for each unit, years first.
    """

    outcome: Outcome
    artifacts: int
    passed: int
    failed: int
    not_run: int
    not_checked: int
    not_made: int
    worst: tuple[Worst, ...]

    @property
    def counts(self) -> str:
        """The counts that are not 0, in one sentence."""
        named = (
            (self.passed, "passed"),
            (self.failed, "failed"),
            (self.not_made, "could not be made"),
            (self.not_run, "not run here"),
            (self.not_checked, "not checked"),
        )
        found = ", ".join(f"{count} {what}" for count, what in named if count) or "none checked"
        return f"{self.artifacts} {'artefact' if self.artifacts == 1 else 'artefacts'}: {found}."

    @property
    def errors(self) -> tuple[str, ...]:
        """The greatest error for each unit, a sentence each."""
        return tuple(map(_sentence, self.worst))


def of(evidence: Evidence) -> Verdict:
    """The verdict on the artefacts of a build folder."""
    statuses = [each.decisive.status if each.decisive else "" for each in evidence.artifacts]
    passed, failed, skipped, unchecked = (
        statuses.count(status) for status in ("passed", "failed", "skipped", "")
    )
    not_made = sum(len(build.manifest.not_made) for build in evidence.builds)
    outcome: Outcome = "passed"
    if failed or not_made:
        outcome = "failed"
    elif unchecked or not passed:
        outcome = "incomplete"
    return Verdict(
        outcome=outcome,
        artifacts=len(statuses) + not_made,
        passed=passed,
        failed=failed,
        not_run=skipped,
        not_checked=unchecked,
        not_made=not_made,
        worst=tuple(_worst(evidence.artifacts)),
    )


def _worst(artifacts: Sequence[Artifact]) -> Iterator[Worst]:
    found = [
        Worst(r.max_error, r.unit, r.artifact, r.tolerance.max if r.tolerance else None)
        for artifact in artifacts
        for r in artifact.results
        if r.max_error is not None
    ]
    for unit in sorted({each.unit for each in found}, key=lambda unit: (unit != "years", unit)):
        yield max((each for each in found if each.unit == unit), key=lambda each: each.error)


def _sentence(worst: Worst) -> str:
    allowed = "" if worst.allowed is None else f" ({worst.allowed:g} allowed)"
    return (
        f"Greatest error against PyTorch: {worst.error:.2g} {worst.unit}, "
        f"in {worst.artifact}{allowed}."
    )
