"""Checks one artefact in one runtime."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from agecompact.artifacts.confined import sha256_of
from agecompact.artifacts.manifest import Build, Entry, NotMade
from agecompact.artifacts.provenance import differences
from agecompact.bench.size import read_parts
from agecompact.contract import Contract, Output, Unit
from agecompact.errors import AgecompactError, UsageError
from agecompact.evaluation.evaluate import target_of_contract
from agecompact.formats import FORMATS, PRECISIONS, Runtime, opened_by
from agecompact.isolation import IsolationFailure, call
from agecompact.runtimes.channel import MEMORY_BYTES
from agecompact.runtimes.process import RuntimeProcess
from agecompact.serialization import structure
from parity_tests.compare import Outputs, output_errors, spread
from parity_tests.inputs import Sample
from parity_tests.interface import check_declared
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner, runtime_failures, runtime_process
from parity_tests.search import Budget, search
from parity_tests.settings import CheckSettings
from parity_tests.spans import SPANS
from parity_tests.task import mean_absolute_error
from parity_tests.tolerances import min_spread
from parity_tests.weights import WEIGHTS_FORMAT, Given, WeightFault

# Failures of the output, which originate at an op.
_NUMERIC = frozenset({"not-finite", "degenerate", "mismatch"})
# Converters keep some layers exact, and align constants.
_LEAST_SAVING = 0.95
# Weights of fewer bits are compressed, so the package does not contain the network's own.
_LEAST_FLOAT_BITS = 16


@dataclass(frozen=True)
class Candidate:
    """An artefact and a runtime that runs it.

    Attributes:
        build: The artefact's build.
        entry: The artefact.
        runtime: The runtime.
    """

    build: Build
    entry: Entry
    runtime: Runtime

    @property
    def path(self) -> Path:
        """The artefact's path."""
        return self.build.path(self.entry)

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of its result."""
        return self.build.manifest.model, self.entry.file, self.runtime.name

    @property
    def name(self) -> str:
        """Artefact and runtime, for people."""
        return f"{self.entry.file} in {self.runtime.label}"


def check(
    candidate: Candidate,
    reference: Reference,
    settings: CheckSettings,
    opened: Callable[[RuntimeProcess], None] = lambda _: None,
) -> Result:
    """Checks one artefact in one runtime, up to its first failure.

    Args:
        candidate: The artefact and the runtime.
        reference: What it is compared with.
        settings: How to check.
        opened: Receives the artefact's process when it has started, so that it can be killed.

    Raises:
        GateError: PyTorch fails on the labelled faces.
    """
    started = time.monotonic()
    result = unchecked_artifact(candidate.build, candidate.entry, candidate.runtime, settings)
    try:
        result = replace(result, sha256=_sha256(candidate.path))
        with runtime_process(candidate.path, candidate.runtime, settings) as process:
            opened(process)
            contract = _contract(candidate, process)
            _check_declared(candidate, process, contract)
            _check_size(candidate)
            runner = ModelRunner(process, contract)
            result = replace(result, runtime_version=runner.opened.version)
            result = compare(result, runner, reference, settings)
        if result.status == "passed":
            _check_weights(candidate, reference, settings)
            if result.sha256 != candidate.entry.sha256:
                raise Failure("integrity", "it is not the file that was built: its sha256 differs")
    except Failure as failure:
        result = failed(result, failure)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def not_made(build: Build, settings: CheckSettings) -> tuple[Result, ...]:
    """A failure for each requested artefact whose conversion failed."""
    return tuple(
        failed(
            unchecked_artifact(build, entry, FORMATS[entry.format].runtimes[0], settings),
            Failure("conversion", entry.reason),
        )
        for entry in build.manifest.not_made
    )


def compare(
    result: Result, runner: ModelRunner, reference: Reference, settings: CheckSettings
) -> Result:
    """Runs an open artefact on every input and compares its outputs with the reference's.

    Raises:
        Failure: The runtime fails, crashes or hangs.
    """
    worst = reference.samples[0]
    try:
        outputs = runner.outputs(reference.samples)
        result = replace(result, covered=reference.covered)
        # Without mosaics and driven inputs: a network that only they move ignores faces.
        fixed = slice(reference.fixed)
        _reject_degenerate(reference.outputs[fixed], outputs[fixed], min_spread(result.unit))
        result, worst = _compared(result, outputs, runner, reference, settings)
        _reject_mismatch(result, worst)
        _reject_out_of_range(outputs, runner.contract.output, result.tolerance.max)
        if settings.labelled:
            result = _compared_on_labelled(result, runner, reference, settings)
    except Failure as failure:
        if failure.kind not in _NUMERIC:
            raise
        result = failed(result, failure)
        worst = failure.sample or worst
    wanted = settings.localise == "mismatch" and result.kind in _NUMERIC
    if wanted or settings.localise == "always":
        # Imported only here: a build without failures does not need it.
        from parity_tests.fault_location import locate_fault

        found = locate_fault(reference, runner, worst, result.precision)
        result = replace(result, localisation=found)
    return result


def unchecked_artifact(
    build: Build, entry: Entry | NotMade, runtime: Runtime, settings: CheckSettings
) -> Result:
    """The result for an artefact before any check, with its gates."""
    return unchecked(
        build.folder / entry.file,
        runtime,
        settings,
        model=build.manifest.model,
        precision=entry.precision,
        unit=build.manifest.contract.output.unit,
    )


def unchecked(
    path: Path,
    runtime: Runtime,
    settings: CheckSettings,
    *,
    model: str,
    precision: str,
    unit: Unit,
) -> Result:
    """The result for a file before any check, with its gates."""
    tolerance = settings.tolerances.of(
        unit=unit,
        format=opened_by(runtime.name).name,
        precision=precision,
        runtime=runtime.name,
        model=model,
    )
    return Result(
        model=model,
        artifact=path.name,
        precision=precision,
        runtime=runtime.name,
        label=runtime.label,
        status="passed",
        kind=None,
        reason="",
        unit=unit,
        tolerance=tolerance,
    )


def failed(result: Result, failure: Failure) -> Result:
    """A result with a failure in it; `skipped` if this machine does not have the runtime."""
    status: Literal["skipped", "failed"] = "skipped" if failure.kind == "missing" else "failed"
    return replace(result, status=status, kind=failure.kind, reason=str(failure))


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except UsageError as error:
        raise Failure("load", error.summary) from None


def _contract(candidate: Candidate, process: RuntimeProcess) -> Contract:
    """The artefact's own contract, which a phone would use."""
    with runtime_failures():
        described = process.metadata()
    if found := differences(described, candidate.build.manifest, candidate.entry):
        raise Failure("metadata", "; ".join(found))
    return described.contract


def _check_declared(candidate: Candidate, process: RuntimeProcess, contract: Contract) -> None:
    """Rejects a file that an app cannot bind to as the contract and the manifest say."""
    entry = candidate.entry
    with runtime_failures():
        declared = process.declared()
    # Some exporters fall back silently.
    if declared.opset != entry.opset:
        versions = f"{declared.opset}, {entry.opset} was requested"
        raise Failure("conversion", f"the version of its ops is {versions}")
    check_declared(declared, contract, entry.batch)


def _check_size(candidate: Candidate) -> None:
    """Rejects weights that were not made smaller: some converters skip what they do not know."""
    full = PRECISIONS[FORMATS[candidate.entry.format].precisions[0]]
    if candidate.entry.precision == full.name:
        return
    try:
        parts = read_parts(candidate.path)
    except AgecompactError as error:
        raise Failure("load", error.summary) from None
    bits = parts.weights * 8 / candidate.build.manifest.folded_parameters
    if bits > _LEAST_SAVING * full.stored_bits:
        wanted = f"{candidate.entry.precision} was requested"
        raise Failure("conversion", f"its weights take {bits:.0f} bits a parameter, {wanted}")


def _check_weights(candidate: Candidate, reference: Reference, settings: CheckSettings) -> None:
    """Rejects wrong weights that the outputs do not show, such as a flipped bit."""
    if candidate.entry.format != WEIGHTS_FORMAT:
        return
    try:
        faults = _weight_faults(candidate, reference, settings)
    except (AgecompactError, IsolationFailure) as error:
        raise Failure("weights", f"its weights cannot be compared: {error}") from None
    if faults:
        first = faults[0]
        where = f"{first.op}.{first.parameter}: " if first.op else ""
        raise Failure("weights", f"{where}{first.reason}; {len(faults)} such faults")


def _weight_faults(
    candidate: Candidate, reference: Reference, settings: CheckSettings
) -> tuple[WeightFault, ...]:
    """Compares with the network and, in a reduced precision, with the full-precision package."""
    build, entry = candidate.build, candidate.entry
    precision = FORMATS[WEIGHTS_FORMAT].precisions[0]
    plain = PRECISIONS[entry.precision].stored_bits >= _LEAST_FLOAT_BITS
    full = next(
        (
            build.path(other)
            for other in build.manifest.artifacts
            if (other.format, other.precision) == (WEIGHTS_FORMAT, precision)
            and entry.precision != precision
        ),
        None,
    )
    found = call(
        "parity_tests.weights:faults_of",
        candidate.path,
        Given.of(reference.parameters) if plain else None,
        full,
        seconds=settings.timeout_s,
        memory_bytes=MEMORY_BYTES,
    )
    return structure(found, tuple[WeightFault, ...], where="the comparison of the weights")


def _reject_degenerate(reference: Outputs, candidate: Outputs, least: float) -> None:
    """Rejects a network whose output is constant, even if PyTorch's is constant too."""
    for whose, outputs in (("its", candidate), ("even PyTorch's", reference)):
        if spread(outputs) < least:
            raise Failure(
                "degenerate",
                f"{whose} output is {outputs.mean():.3g} for every input: the preprocessing is not "
                "the one that the network was trained with, or its weights are dead",
            )


def _compared(
    result: Result,
    outputs: Outputs,
    runner: ModelRunner,
    reference: Reference,
    settings: CheckSettings,
) -> tuple[Result, Sample]:
    """The errors, and the input with the greatest error."""
    span = SPANS[result.unit]
    errors = output_errors(reference.outputs, outputs, span)
    fixed = errors[: reference.fixed]
    worst = reference.samples[fixed.argmax()]
    greatest = float(fixed.max())
    result = replace(
        result,
        max_years=greatest,
        p99_years=float(np.percentile(fixed, 99)),
        mean_years=float(fixed.mean()),
        worst_sample=worst.name,
        samples=len(fixed),
    )
    # If it fails already, no worse input is needed.
    if greatest > result.tolerance.max:
        return result, worst
    found = search(
        reference.runner.outputs,
        runner.outputs,
        reference.samples,
        errors,
        settings.budget or Budget(rounds=0),
        span,
    )
    searched = len(errors) - len(fixed) + found.tried
    return replace(result, searched_years=found.error, searched=searched), found.sample


def _reject_mismatch(result: Result, worst: Sample) -> None:
    gates = result.tolerance
    for what, error, gate in (
        ("greatest error", result.max_years, gates.max),
        ("99th percentile of the error", result.p99_years, gates.p99),
        ("mean error", result.mean_years, gates.mean),
        ("error on a searched input", result.searched_years, gates.searched),
    ):
        if error is not None and error > gate:
            raise Failure(
                "mismatch",
                f"{what} {error:.3g} {result.unit}, {gate:g} allowed; worst input '{worst.name}'",
            )


def _reject_out_of_range(outputs: Outputs, output: Output, slack: float) -> None:
    """Rejects right outputs that an app does not expect: it may scale by the bounds, or clip."""
    low = -math.inf if output.minimum is None else output.minimum
    high = math.inf if output.maximum is None else output.maximum
    if outputs.min() < low - slack or outputs.max() > high + slack:
        found = f"{outputs.min():.4g} to {outputs.max():.4g} {output.unit}"
        raise Failure("metadata", f"its outputs are {found}; the contract has {low:g} to {high:g}")


def _compared_on_labelled(
    result: Result, runner: ModelRunner, reference: Reference, settings: CheckSettings
) -> Result:
    labelled = settings.labelled[target_of_contract(runner.contract)]
    mae = mean_absolute_error(runner, labelled)
    error = abs(mae - reference.mae)
    result = replace(
        result,
        mae_years=error,
        artifact_mae_years=mae,
        reference_mae_years=reference.mae,
        faces=len(labelled.faces),
    )
    if error > result.tolerance.mae:
        failure = Failure(
            "task",
            f"its MAE is {mae:.4f} {result.unit}, PyTorch's {reference.mae:.4f}; a difference of "
            f"{result.tolerance.mae:g} is allowed",
        )
        return failed(result, failure)
    return result
