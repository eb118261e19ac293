"""The verdict on one artefact in one runtime."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agecompact.artifacts.manifest import Build, Entry, NotMade
from agecompact.artifacts.metadata import MetadataError
from agecompact.contract import Contract, Unit
from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.evaluation.evaluate import target_of_contract
from agecompact.files import sha256_of
from agecompact.formats import FORMATS, Runtime
from agecompact.runtimes.registry import load, read_metadata
from parity_tests.compare import Answers, difference, errors, spread
from parity_tests.inputs import Sample
from parity_tests.plan import Plan
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result
from parity_tests.search import search
from parity_tests.side import Side
from parity_tests.task import mean_absolute_error
from parity_tests.tolerances import min_spread
from parity_tests.weights import WeightFault, compare_given, compare_weights

# Failures of the answers themselves, which have an op where they are born.
_NUMERIC = frozenset({"not-finite", "degenerate", "mismatch"})
# What the weights of a model's other Core ML packages are held to.
_WHOLE = ("coreml", "float32")


@dataclass(frozen=True)
class Candidate:
    """An artefact and a runtime that opens it.

    Attributes:
        build: Where it belongs.
        entry: The artefact.
        runtime: The runtime.
    """

    build: Build
    entry: Entry
    runtime: Runtime

    @property
    def path(self) -> Path:
        """Where the artefact lies."""
        return self.build.path(self.entry)


def check(candidate: Candidate, reference: Reference, plan: Plan) -> Result:
    """Checks one artefact in one runtime, as far as it gets.

    Raises:
        GateError: PyTorch itself gives no usable answer.
        UsageError: An image of the user's cannot be read.
    """
    started = time.monotonic()
    result = _blank(candidate.build, candidate.entry, candidate.runtime, plan)
    try:
        contract = _contract(candidate)
        _as_asked(candidate)
        side = Side(
            candidate.path,
            candidate.runtime,
            contract,
            threads=plan.threads,
            timeout_s=plan.timeout_s,
        )
        with side:
            result = replace(result, runtime_version=side.opened.version)
            result = judge(result, side, reference, plan)
        if result.status == "passed":
            _intact(result, candidate, reference)
    except Failure as failure:
        result = failed(result, failure)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def not_made(build: Build, plan: Plan) -> tuple[Result, ...]:
    """A failure for each artefact that was asked for and could not be converted."""
    failures = []
    for entry in build.manifest.not_made:
        runtime = FORMATS[entry.format].runtimes[0]
        result = _blank(build, entry, runtime, plan)
        failures.append(failed(result, Failure("conversion", entry.reason)))
    return tuple(failures)


def judge(result: Result, side: Side, reference: Reference, plan: Plan) -> Result:
    """Puts every input to an artefact that is open, and the answers against PyTorch's.

    Raises:
        Failure: The runtime fails, dies or hangs.
    """
    worst = reference.samples[0]
    try:
        answers = side.answers(reference.samples)
        _reject_degenerate(reference.answers, answers, min_spread(result.unit))
        result, worst = _compared(result, answers, side, reference, plan)
        _reject_mismatch(result)
        if plan.labelled:
            result = _on_labelled(result, side, reference, plan)
    except Failure as failure:
        if failure.kind not in _NUMERIC:
            raise
        result = failed(result, failure)
    wanted = plan.localise == "mismatch" and result.kind in _NUMERIC
    if wanted or plan.localise == "always":
        # Loaded when it is needed: a right build does not need it.
        from parity_tests.diagnosis import diagnose

        found = diagnose(reference, side, worst, result.precision)
        result = replace(result, localisation=found)
    return result


def _blank(build: Build, entry: Entry | NotMade, runtime: Runtime, plan: Plan) -> Result:
    return unjudged(
        build.folder / entry.file,
        runtime,
        plan,
        model=build.manifest.model,
        format_=entry.format,
        precision=entry.precision,
        unit=build.manifest.contract.output.unit,
    )


def unjudged(
    path: Path,
    runtime: Runtime,
    plan: Plan,
    *,
    model: str,
    format_: str,
    precision: str,
    unit: Unit,
) -> Result:
    """What stands in a result before anything is asked of the file, its gates among it."""
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
        tolerance=plan.tolerances.of(
            unit=unit, format=format_, precision=precision, runtime=runtime.name, model=model
        ),
        sha256=sha256_of(path) if path.exists() else None,
    )


def failed(result: Result, failure: Failure) -> Result:
    """A result with a failure in it; of a runtime that is not of this machine, skipped."""
    status: Literal["skipped", "failed"] = "skipped" if failure.kind == "missing" else "failed"
    return replace(result, status=status, kind=failure.kind, reason=str(failure))


def _contract(candidate: Candidate) -> Contract:
    """The artefact's own contract: what a phone would run it by."""
    manifest = candidate.build.manifest
    try:
        described = read_metadata(candidate.path)
    except BackendMissingError as error:
        raise Failure("missing", str(error)) from None
    except MetadataError as error:
        raise Failure("metadata", str(error)) from None
    except AgecompactError as error:
        raise Failure("load", str(error)) from None
    if described.model != manifest.model:
        raise Failure("metadata", f"it says it is '{described.model}'")
    if described.precision != candidate.entry.precision:
        raise Failure("metadata", f"it says it is {described.precision}")
    if described.weights_sha256 != manifest.weights_sha256:
        raise Failure("metadata", "it says it was converted from other weights")
    mine, theirs = manifest.contract, described.contract
    # Samples come cropped, by the manifest's contract: other boxes would go unseen in the answers.
    if (theirs.crops, theirs.output) != (mine.crops, mine.output):
        raise Failure("metadata", "its crops or output are not the manifest's")
    return theirs


def _as_asked(candidate: Candidate) -> None:
    """Fails an ONNX file of another opset than the exporter says: some fall back in silence."""
    if candidate.entry.opset is None:
        return
    opset = load(candidate.runtime).describe(str(candidate.path))["opsets"].get("ai.onnx")
    if opset != candidate.entry.opset:
        raise Failure("conversion", f"opset {opset}, where {candidate.entry.opset} was asked for")


def _intact(result: Result, candidate: Candidate, reference: Reference) -> None:
    """Fails what answers rightly and yet is not what was built: answers hide a flipped bit."""
    if candidate.entry.format == "coreml":
        try:
            faults = _weight_faults(candidate, reference)
        except AgecompactError as error:
            raise Failure("weights", f"nothing to hold its weights to: {error}") from None
        if faults:
            first = faults[0]
            where = f"{first.op}.{first.parameter}: " if first.op else ""
            raise Failure("weights", f"{where}{first.reason}; {len(faults)} such")
    if result.sha256 != candidate.entry.sha256:
        raise Failure("integrity", "it is not the file that was built: its sha256 differs")


def _weight_faults(candidate: Candidate, reference: Reference) -> tuple[WeightFault, ...]:
    """Against the network itself and, of another precision, against the float32 package beside."""
    build, entry = candidate.build, candidate.entry
    wholes = [e for e in build.manifest.artifacts if (e.format, e.precision) == _WHOLE]
    if (faults := compare_given(candidate.path, reference.parameters)) or entry in wholes:
        return faults
    return tuple(
        fault for whole in wholes for fault in compare_weights(candidate.path, build.path(whole))
    )


def _reject_degenerate(reference: Answers, candidate: Answers, floor: float) -> None:
    """Fails a network that answers the same to everything, even where PyTorch does so too."""
    for whose, answers in (("it", candidate), ("even PyTorch", reference)):
        if spread(answers) < floor:
            raise Failure(
                "degenerate",
                f"{whose} answers {answers.mean():.3g} to every input: the preprocessing is not "
                "what the network was trained with, or its weights are dead",
            )


def _compared(
    result: Result, answers: Answers, side: Side, reference: Reference, plan: Plan
) -> tuple[Result, Sample]:
    """The figures, and the input with the greatest error."""
    found = difference(reference.answers, answers)
    worst = reference.samples[found.worst]
    result = replace(
        result,
        max_years=found.max,
        p99_years=found.p99,
        mean_years=found.mean,
        worst_sample=worst.name,
        samples=len(answers),
    )
    # What already fails needs no worse input.
    if plan.budget is None or found.max > result.tolerance.max:
        return result, worst
    known = errors(reference.answers, answers)
    hunted = search(reference.side.answers, side.answers, reference.samples, known, plan.budget)
    searched = replace(
        result,
        searched_years=hunted.error,
        searched=hunted.tried,
    )
    return searched, hunted.sample


def _reject_mismatch(result: Result) -> None:
    gates = result.tolerance
    for what, error, gate in (
        ("at most", result.max_years, gates.max),
        ("in the 99th percentile", result.p99_years, gates.p99),
        ("on average", result.mean_years, gates.mean),
        ("on a searched input", result.searched_years, gates.searched),
    ):
        if error is not None and error > gate:
            raise Failure(
                "mismatch",
                f"off by {error:.3g} {result.unit} {what}, {gate:g} allowed; worst on "
                f"'{result.worst_sample}'",
            )


def _on_labelled(result: Result, side: Side, reference: Reference, plan: Plan) -> Result:
    labelled = plan.labelled[target_of_contract(side.contract)]
    theirs, mine = reference.mae, mean_absolute_error(side, labelled)
    error = abs(mine - theirs)
    result = replace(result, mae_years=error, faces=len(labelled.faces))
    if error > result.tolerance.mae:
        failure = Failure(
            "task",
            f"MAE {mine:.4f} {result.unit}, PyTorch's {theirs:.4f}; "
            f"{result.tolerance.mae:g} allowed between them",
        )
        return failed(result, failure)
    return result
