"""Runs every artefact of a build and holds it to PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agecompact.contract import Contract
from agecompact.errors import AgecompactError, BackendMissingError, GateError
from agecompact.files import sha256_of
from agecompact.manifest import Build, Entry
from agecompact.metadata import MetadataError
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import read_metadata
from parity_tests import inputs
from parity_tests.compare import Answers, difference, spread
from parity_tests.tolerances import MIN_SPREAD_YEARS, TOLERANCES, in_units

SCHEMA_VERSION = 1

_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "coreml": "coreml"}

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """The verdict on one artefact.

    Attributes:
        model: Registered id.
        artifact: File name.
        sha256: Hash of the file that was checked; None where it is missing.
        runtime: What runs such files.
        runtime_version: Its version, or None where it was not reached.
        status: `skipped` only where the runtime is not of this machine.
        kind: Of failure: `load`, `run`, `crash`, `timeout`, `metadata`, `interface` (another name
            or shape of the output), `not-finite`, `degenerate` (the answer does not vary),
            `mismatch`; `missing` when skipped; None when passed.
        reason: The failure in words; empty when passed.
        unit: Unit of the figures below: for a gender score they are in score, not in years.
        max_years: Greatest error over the samples; None when nothing was compared.
        p99_years: 99th percentile of the error.
        mean_years: Mean error.
        tolerance_years: The gate that `max_years` must keep.
        worst_sample: Name of the sample with the greatest error.
        samples: How many were compared.
    """

    model: str
    artifact: str
    sha256: str | None
    runtime: str
    status: Status
    kind: str | None
    reason: str
    unit: str
    tolerance_years: float
    runtime_version: str | None = None
    max_years: float | None = None
    p99_years: float | None = None
    mean_years: float | None = None
    worst_sample: str | None = None
    samples: int = 0


class _Failure(Exception):  # noqa: N818 - becomes a Result, never reaches the user as an error.
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def check_build(
    build: Build, report: Callable[[Result], None] = lambda _: None
) -> tuple[Result, ...]:
    """Checks every artefact of a build against PyTorch float32 on the standard inputs.

    Raises:
        GateError: PyTorch itself gives no usable answer, so there is nothing to hold artefacts to.
    """
    contract = build.manifest.contract
    samples = inputs.standard(contract)
    reference = _reference(build, samples)
    results = []
    for entry in build.manifest.artifacts:
        result = _check(build, entry, samples, reference)
        report(result)
        results.append(result)
    return tuple(results)


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The content of `parity.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": passed(results),
        "results": [asdict(result) for result in results],
    }


def passed(results: Sequence[Result]) -> bool:
    """Whether nothing failed, and something was really compared."""
    statuses = {result.status for result in results}
    return "failed" not in statuses and "passed" in statuses


def _reference(build: Build, samples: Sequence[inputs.Sample]) -> Answers:
    try:
        answers, _ = _answers(build.weights, build.manifest.contract, samples)
    except (RuntimeFailure, _Failure) as failure:
        raise GateError(
            f"PyTorch gives no reference for '{build.manifest.model}'",
            why=f"{failure.kind}: {failure.reason}",
            fix="check the weights with: agecompact verify",
        ) from None
    return answers


def _check(
    build: Build, entry: Entry, samples: Sequence[inputs.Sample], reference: Answers
) -> Result:
    path = build.path(entry)
    unit = build.manifest.contract.output.unit
    tolerance = in_units(TOLERANCES[entry.precision].max_years, unit)
    runtime = _RUNTIMES[entry.format]
    sha256 = sha256_of(path) if path.exists() else None

    def verdict(status: Status, kind: str | None, reason: str, **figures: Any) -> Result:
        return Result(
            build.manifest.model,
            entry.file,
            sha256,
            runtime,
            status,
            kind,
            reason,
            unit,
            tolerance,
            **figures,
        )

    try:
        contract = _contract(path, build)
        candidate, version = _answers(path, contract, samples)
        _reject_degenerate(reference, candidate, in_units(MIN_SPREAD_YEARS, unit))
    except (RuntimeFailure, _Failure) as failure:
        status: Status = "skipped" if failure.kind == "missing" else "failed"
        return verdict(status, failure.kind, failure.reason)
    found = difference(reference, candidate)
    figures = {
        "runtime_version": version,
        "max_years": found.max,
        "p99_years": found.p99,
        "mean_years": found.mean,
        "worst_sample": samples[found.worst].name,
        "samples": len(samples),
    }
    if found.max > tolerance:
        reason = f"off by {found.max:.3g} {unit} on '{samples[found.worst].name}'"
        return verdict("failed", "mismatch", reason, **figures)
    return verdict("passed", None, "", **figures)


def _contract(path: Path, build: Build) -> Contract:
    """The artefact's own contract: what a phone would run it by."""
    try:
        described = read_metadata(path)
    except BackendMissingError as error:
        raise _Failure("missing", str(error)) from None
    except MetadataError as error:
        raise _Failure("metadata", str(error)) from None
    except AgecompactError as error:
        raise _Failure("load", str(error)) from None
    mine, theirs = build.manifest.contract, described.contract
    if described.model != build.manifest.model:
        raise _Failure("metadata", f"it says it is '{described.model}'")
    # Samples come cropped, by the manifest's contract: other boxes would go unseen in the answers.
    if (theirs.crops, theirs.output) != (mine.crops, mine.output):
        raise _Failure("metadata", "its crops or output are not the manifest's")
    return theirs


def _answers(
    path: Path, contract: Contract, samples: Sequence[inputs.Sample]
) -> tuple[Answers, str]:
    """The answers of a model file to the samples, `(samples,)`, and the runtime that gave them."""
    batches = [contract.tensors(sample.crops) for sample in samples]
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in contract.input_names}
    with RuntimeProcess(path) as process:
        opened = process.open()
        outputs = process.infer(stacked)
    name = contract.output.name
    if name not in outputs:
        raise _Failure("interface", f"no output '{name}', but {', '.join(sorted(outputs))}")
    answers = np.asarray(outputs[name], np.float64)
    if answers.size != len(samples):
        raise _Failure("interface", f"output '{name}' has shape {answers.shape[1:]}, not (1, 1)")
    answers = answers.reshape(-1)
    if not np.isfinite(answers).all():
        first = samples[int(np.flatnonzero(~np.isfinite(answers))[0])].name
        raise _Failure("not-finite", f"NaN or Inf on '{first}'")
    return answers, opened.version


def _reject_degenerate(reference: Answers, candidate: Answers, floor: float) -> None:
    """Fails a network that answers the same to everything, even where PyTorch does so too."""
    for whose, answers in (("it", candidate), ("even PyTorch", reference)):
        if spread(answers) < floor:
            raise _Failure(
                "degenerate",
                f"{whose} answers {answers.mean():.3g} to every input: the preprocessing is not "
                "what the network was trained with, or its weights are dead",
            )
