"""Kinds of failure, and the writer of the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agecompact.artifacts.parity import FILE_NAME, ParityReport, Result, read
from agecompact.serialization import unstructure, write_versioned
from parity_tests.inputs import Sample

__all__ = [
    "FILE_NAME",
    "KINDS",
    "Failure",
    "ParityReport",
    "Result",
    "as_json",
    "decisive",
    "passed",
    "read",
    "report_of",
    "write",
]

# The kinds of failure, in the order in which they are checked: the first one found is reported.
KINDS: Mapping[str, str] = {
    "missing": "its runtime is not available on this machine: skipped, never passed",
    "reference": "the outputs with which it would be compared are unusable",
    "conversion": "it was not made, or not with the requested settings",
    "load": "the runtime cannot load the file",
    "metadata": "its metadata is missing, unreadable or differs from the manifest",
    "names": "an input or output has another name than in the contract",
    "order": "the inputs are in another order than in the contract",
    "dtypes": "an input or output has another dtype than in the contract",
    "shapes": "an input or output has another shape than in the contract",
    "interface": "an app sees something that no contract has, such as an optional input",
    "fallback": "ops run on the CPU, which the accelerator should run",
    "run": "the runtime loads the file and fails on an input",
    "crash": "the file crashes the runtime",
    "timeout": "the runtime does not reply in time",
    "not-finite": "an output is NaN or infinite",
    "degenerate": "the answer is the same for every face",
    "mismatch": "the outputs differ from the reference's by more than the tolerance",
    "batch": "in a batch, an image gets another answer than alone",
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
        sample: The input that shows it, if only some do.
    """

    def __init__(self, kind: str, reason: str, sample: Sample | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.sample = sample


def decisive(results: Sequence[Result]) -> Result:
    """The result that decides about an artefact: the first that fails, else the first."""
    return next((result for result in results if result.status == "failed"), results[0])


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
