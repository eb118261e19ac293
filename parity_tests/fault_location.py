"""Finds where the error of an open artefact originates: its ops beside PyTorch's, on one input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity_tests.inputs import Sample
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import localise
from parity_tests.localisation.report import as_json
from parity_tests.reference import Reference
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner


def locate_fault(
    reference: Reference, runner: ModelRunner, sample: Sample, precision: str
) -> Mapping[str, Any] | None:
    """Localises the error of a candidate on one sample.

    Args:
        reference: The correct model. If it is a PyTorch network, that is also run with simulated
            rounding, which separates a fault from rounding that the network amplifies.
        runner: The candidate, open.
        sample: The input.
        precision: Precision of the candidate's weights, a key of `agecompact.formats.PRECISIONS`.

    Returns:
        `report.as_json`; None if one of the two models does not trace its ops, as Core ML does not.
    """
    inputs = reference.runner.tensors(sample)
    try:
        candidate = with_inputs(runner.trace(sample), runner.tensors(sample))
        if reference.weights is None:
            trace = with_inputs(reference.runner.trace(sample), inputs)
            return as_json(localise([trace], [candidate], precision=precision))
    except Failure:
        return None
    # Imports torch, which this process does not need if nothing fails.
    from parity_tests.localisation.rounding import run_reference

    run = run_reference(reference.weights, [inputs], precision)
    found = localise(
        run.traces, [candidate], precision=precision, rounding=run.rounding, state=run.state
    )
    return as_json(found)
