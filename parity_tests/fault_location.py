"""Finds where the error of an open artefact originates: in its contract, or in which op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agecompact.contract import Contract
from agecompact.runtimes.base import Trace
from parity_tests.contracts import corrected, differences
from parity_tests.inputs import Sample
from parity_tests.localisation.comparison import Known
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import localise
from parity_tests.localisation.pictures import read_by_network
from parity_tests.localisation.report import Localisation, as_json, blame_contract
from parity_tests.reference import Reference
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner

# Besides the worst input, those with the least, the greatest and the median output.
# On one input alone, a factor and a shift look the same.
_QUANTILES = (0.0, 0.5, 1.0)


def locate_fault(
    reference: Reference, runner: ModelRunner, sample: Sample, precision: str
) -> Mapping[str, Any] | None:
    """Localises the error of a candidate.

    Args:
        reference: The correct model. If it is a PyTorch network, that is also run with simulated
            rounding, which separates a fault from rounding that the network amplifies.
        runner: The candidate, open.
        sample: The input on which its error is the greatest.
        precision: Precision of the candidate's weights, a key of `agecompact.formats.PRECISIONS`.

    Returns:
        `report.as_json`; None if one of the two models does not trace its ops, as Core ML does not.
    """
    search = _Search(reference, runner, _samples(reference, sample), precision)
    try:
        found = search.localised(runner.contract)
        wrong = differences(reference.runner.contract, runner.contract)
        if wrong and found.disagrees:
            right = corrected(reference.runner.contract, runner.contract)
            found = blame_contract(found, search.localised(right), wrong)
    except Failure:
        return None
    return as_json(found)


def _samples(reference: Reference, worst: Sample) -> tuple[Sample, ...]:
    order = np.argsort(reference.outputs[:, 0], kind="stable")
    chosen = [reference.samples[order[round(q * (len(order) - 1))]] for q in _QUANTILES]
    return tuple({sample.name: sample for sample in (worst, *chosen)}.values())


class _Search:
    """A reference and a candidate on the same samples."""

    def __init__(
        self, reference: Reference, runner: ModelRunner, samples: Sequence[Sample], precision: str
    ) -> None:
        self._reference, self._runner = reference, runner
        self._samples, self._precision = samples, precision
        mine = reference.runner
        inputs = [mine.activations(sample) for sample in samples]
        if reference.weights is None:
            self._known = Known()
            self._traces: Sequence[Trace] = [
                with_inputs(mine.trace(sample), read)
                for sample, read in zip(samples, inputs, strict=True)
            ]
            return
        # Imports torch, which this process does not need if nothing fails.
        from parity_tests.localisation.rounding import run_reference

        run = run_reference(reference.weights, inputs, precision)
        self._known, self._traces = run.known, run.traces

    def localised(self, contract: Contract) -> Localisation:
        """Compares the two, the candidate reading inputs made by a contract."""
        theirs = [
            with_inputs(self._runner.trace(s, contract), self._runner.activations(s, contract))
            for s in self._samples
        ]
        if contract.takes_levels:
            turned = self._reference.runner.contract.color_order == "BGR"
            theirs = [read_by_network(trace, reverse=turned) for trace in theirs]
        return localise(self._traces, theirs, precision=self._precision, known=self._known)
