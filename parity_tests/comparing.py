"""Compares the outputs of an open artefact with the reference's, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.parity import Quantiles, Tolerance
from agecompact.contract import Output
from agecompact.evaluation.evaluate import targets_of
from agecompact.formats import RUNTIMES, opened_by
from agecompact.precisions import PRECISIONS
from parity_tests.compare import Outputs, spread
from parity_tests.coverage import covered
from parity_tests.inputs import Sample
from parity_tests.parts import Part, errors_of
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner
from parity_tests.search import Budget, SearchResult, search
from parity_tests.settings import CheckSettings
from parity_tests.task import answers_of, flips, mean_absolute_error

# Failures of the output, which originate at an op.
_NUMERIC = frozenset({"not-finite", "degenerate", "mismatch"})
# The answers of a network that sees a face have at least this standard deviation, as a share of
# their span, over one face in light and shadow, turned and blurred, and the faces of a user. Those
# of the released networks have 4 to 17 %; fed with 0..1 for 0..255, or -1..1, they have 0.01 to
# 0.5 %.
LEAST_SPREAD = 0.01


def compare(
    result: Result, runner: ModelRunner, reference: Reference, settings: CheckSettings
) -> tuple[Result, ...]:
    """Runs an open artefact on every input and compares its outputs with the reference's.

    Args:
        result: The result so far.
        runner: The artefact.
        reference: What it is compared with.
        settings: How to compare.

    Returns:
        One result for each output; one for all if an output is NaN or infinite.

    Raises:
        Failure: The runtime fails, crashes or hangs.
    """
    parts, slow = reference.parts, RUNTIMES[result.runtime].slow
    tried = reference.samples[: reference.fixed] if slow else reference.samples
    right = reference.outputs[: len(tried)]
    try:
        outputs = runner.outputs(tried)
    except Failure as failure:
        if failure.kind not in _NUMERIC:
            raise
        return (_localised(failed(result, failure), runner, reference, failure.sample, settings),)
    errors = errors_of(parts, right, outputs)
    # What is calibrated with faces promises nothing for noise and edges: those are searched inputs.
    calibrated = PRECISIONS[result.precision].calibrated
    chosen = reference.faces if calibrated else np.arange(reference.fixed)
    fixed = errors[chosen]
    samples = [reference.samples[place] for place in chosen]
    results = [
        _measured(result, part, column, samples, reference, right, settings)
        for part, column in zip(parts, fixed.T, strict=True)
    ]
    worst = [samples[place] for place in fixed.argmax(axis=0)]
    # If an output fails already, no worse input is needed.
    if not slow and all(not _exceeds(each.max_error, each.tolerance) for each in results):
        found = _searched(errors, runner, reference, settings)
        count = len(errors) - len(fixed) + found.tried
        results = [
            replace(each, searched_error=error, searched=count)
            for each, error in zip(results, found.errors, strict=True)
        ]
        worst = list(found.samples)
    judged = [
        _judged(*each, outputs, runner, reference, settings)
        for each in zip(results, parts, worst, strict=True)
    ]
    return _with_location(judged, worst, runner, reference, settings)


def failed(result: Result, failure: Failure) -> Result:
    """A result with a failure in it; `skipped` if this machine does not have the runtime."""
    status: Literal["skipped", "failed"] = "skipped" if failure.kind == "missing" else "failed"
    return replace(result, status=status, kind=failure.kind, reason=str(failure))


def gates_of(result: Result, width: float, settings: CheckSettings) -> Tolerance:
    """The gates of a result, for answers whose span has a width."""
    return settings.tolerances.of(
        width=width,
        format=opened_by(result.runtime).name,
        precision=result.precision,
        runtime=result.runtime,
        model=result.model,
    )


def _measured(
    result: Result,
    part: Part,
    errors: npt.NDArray[np.float64],
    samples: Sequence[Sample],
    reference: Reference,
    right: Outputs,
    settings: CheckSettings,
) -> Result:
    """The result of one output, with its errors on the inputs that it is judged on, `(inputs,)`."""
    return replace(
        result,
        output=part.output.name if len(reference.parts) > 1 else "",
        unit=part.unit,
        tolerance=gates_of(result, part.width, settings),
        float64=reference.float64.get(part.output.name),
        covered=covered(part.of(right), part.unit),
        max_error=float(errors.max()),
        p99_error=float(np.percentile(errors, 99)),
        mean_error=float(errors.mean()),
        quantiles=Quantiles(*map(float, np.percentile(errors, (10, 25, 50, 75, 90)))),
        worst_sample=samples[int(errors.argmax())].name,
        samples=len(errors),
    )


def _searched(
    errors: npt.NDArray[np.float64],
    runner: ModelRunner,
    reference: Reference,
    settings: CheckSettings,
) -> SearchResult:
    return search(
        reference.runner.outputs,
        runner.outputs,
        reference.parts,
        reference.samples,
        errors,
        settings.budget or Budget(rounds=0),
    )


def _judged(
    result: Result,
    part: Part,
    worst: Sample,
    outputs: Outputs,
    runner: ModelRunner,
    reference: Reference,
    settings: CheckSettings,
) -> Result:
    """The result of one output, with its verdict; with both MAEs, even if it fails before."""
    gates = result.tolerance
    assert gates is not None
    failure = None
    try:
        _reject_degenerate(part, reference, outputs)
        _reject_mismatch(result, gates, worst)
        _reject_out_of_range(part, outputs, gates.max)
    except Failure as found:
        failure = found
    try:
        result = _measured_on_labelled(result, part.output, runner, reference, settings)
        _reject_task(result, gates)
    except Failure as found:
        failure = failure or found
    return failed(result, failure) if failure else result


def _reject_degenerate(part: Part, reference: Reference, outputs: Outputs) -> None:
    """Rejects a network that gives every face one answer, even if PyTorch's does too."""
    least = LEAST_SPREAD * part.width
    for whose, made in (("its", outputs), ("even PyTorch's", reference.outputs)):
        answers = part.of(made)[reference.faces]
        if spread(answers) < least:
            raise Failure(
                "degenerate",
                f"{whose} output is {answers.min():.3g} to {answers.max():.3g} {part.unit} for "
                f"{len(answers)} different faces: the preprocessing is not the one that the "
                "network was trained with, or its weights are dead",
            )


def _exceeds(error: float | None, tolerance: Tolerance | None) -> bool:
    return error is not None and tolerance is not None and error > tolerance.max


def _reject_mismatch(result: Result, gates: Tolerance, worst: Sample) -> None:
    for what, error, gate in (
        ("greatest error", result.max_error, gates.max),
        ("99th percentile of the error", result.p99_error, gates.p99),
        ("mean error", result.mean_error, gates.mean),
        ("error on a searched input", result.searched_error, gates.searched),
    ):
        if error is not None and error > gate:
            raise Failure(
                "mismatch",
                f"{what} {error:.3g} {result.unit}, {gate:g} allowed; worst input '{worst.name}'",
            )


def _reject_out_of_range(part: Part, outputs: Outputs, slack: float) -> None:
    """Rejects right answers that an app does not expect: it may scale by the bounds, or clip."""
    output = part.output
    if output.compared_unit != output.unit:
        return
    answers = part.of(outputs)
    low = -math.inf if output.minimum is None else output.minimum
    high = math.inf if output.maximum is None else output.maximum
    if answers.min() < low - slack or answers.max() > high + slack:
        found = f"{answers.min():.4g} to {answers.max():.4g} {output.unit}"
        raise Failure("metadata", f"its outputs are {found}; the contract has {low:g} to {high:g}")


def _measured_on_labelled(
    result: Result,
    output: Output,
    runner: ModelRunner,
    reference: Reference,
    settings: CheckSettings,
) -> Result:
    targets = {each.name: target for target, each in targets_of(runner.contract).items()}
    target = targets.get(output.name)
    if target is None or target not in settings.labelled:
        return result
    labelled, right = settings.labelled[target], reference.answers[target]
    answers = answers_of(runner, labelled)
    mae, least = (mean_absolute_error(each, labelled) for each in (answers, right))
    crossed = flips(answers, right) if target == "age" else {}
    return replace(
        result,
        mae_years=abs(mae - least),
        artifact_mae_years=mae,
        reference_mae_years=least,
        flips_at_18=crossed.get(18),
        flips_at_21=crossed.get(21),
        flips_at_25=crossed.get(25),
        faces=len(labelled.faces),
    )


def _reject_task(result: Result, gates: Tolerance) -> None:
    if result.mae_years is not None and result.mae_years > gates.mae:
        raise Failure(
            "task",
            f"its MAE is {result.artifact_mae_years:.4f} {result.unit}, PyTorch's "
            f"{result.reference_mae_years:.4f}; a difference of {gates.mae:g} is allowed",
        )
    for age, share in result.flips.items():
        if gates.flips is not None and share > gates.flips:
            raise Failure(
                "task",
                f"{share:.2%} of the faces are on the other side of {age} years than PyTorch has "
                f"them; {gates.flips:.2%} are allowed",
            )


def _with_location(
    results: Sequence[Result],
    worst: Sequence[Sample],
    runner: ModelRunner,
    reference: Reference,
    settings: CheckSettings,
) -> tuple[Result, ...]:
    """The results, of which the first that fails says where its error originates."""
    numeric = [i for i, each in enumerate(results) if each.kind in _NUMERIC]
    first = numeric[0] if numeric else 0
    return tuple(
        _localised(each, runner, reference, worst[i], settings) if i == first else each
        for i, each in enumerate(results)
    )


def _localised(
    result: Result,
    runner: ModelRunner,
    reference: Reference,
    worst: Sample | None,
    settings: CheckSettings,
) -> Result:
    wanted = settings.localise == "mismatch" and result.kind in _NUMERIC
    if not wanted and settings.localise != "always":
        return result
    # Imported only here: a build without failures does not need it.
    from parity_tests.fault_location import locate_fault

    sample, precision = worst or reference.samples[0], result.precision
    if PRECISIONS[precision].arithmetic == "float32":
        # What rounding costs there is no fault of an op.
        precision = RUNTIMES[result.runtime].arithmetic or precision
    found = locate_fault(reference, runner, sample, precision, result.tolerance)
    return replace(result, localisation=found)
