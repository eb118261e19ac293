"""Finds where the error of an open artefact originates: in its contract, or in which op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.parity import Tolerance
from agecompact.contract import Contract
from agecompact.precisions import PRECISIONS
from agecompact.runtimes.base import Trace
from parity_tests.contracts import corrected, differences
from parity_tests.inputs import Sample
from parity_tests.localisation.answers import answer_of
from parity_tests.localisation.calibrated import localise_calibrated
from parity_tests.localisation.comparison import Known
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import localise
from parity_tests.localisation.pictures import read_by_network
from parity_tests.localisation.report import Localisation, as_json, blame_contract
from parity_tests.parts import errors_of
from parity_tests.reference import Reference
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner

# Besides the worst input, those with the least, the greatest and the median output.
# On one input alone, a factor and a shift look the same.
_QUANTILES = (0.0, 0.5, 1.0)
# An op that costs less than this part of the mean error that is allowed is not a fault.
_LEAST = 0.75
_OF_FACES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def locate_fault(
    reference: Reference,
    runner: ModelRunner,
    sample: Sample,
    precision: str,
    gates: Tolerance | None = None,
) -> Mapping[str, Any] | None:
    """Localises the error of a candidate.

    Args:
        reference: The correct model. If it is a PyTorch network, that is also run with simulated
            rounding, which separates a fault from rounding that the network amplifies.
        runner: The candidate, open.
        sample: The input on which its error is the greatest.
        precision: That of the candidate's weights, a key of `agecompact.precisions.PRECISIONS`.
        gates: The candidate's, if they are known: in a calibrated file, an op that costs a small
            part of what they allow is not a fault.

    Returns:
        `report.as_json`; None if one of the two models does not trace its ops, as Core ML does not.
    """
    samples = _samples(reference, sample)
    if PRECISIONS[precision].calibrated:
        samples = _faces(reference, runner, sample)
    search = _Search(reference, runner, samples, precision, gates)
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
    return _with_quantiles(reference, worst, np.arange(len(reference.samples)), _QUANTILES)


def _faces(reference: Reference, runner: ModelRunner, worst: Sample) -> tuple[Sample, ...]:
    """Faces: what is calibrated promises nothing for the rest, but that it is finite."""
    matters = worst.kind == "face" or not np.isfinite(runner.raw_outputs([worst])).all()
    found = _with_quantiles(reference, worst, reference.faces, _OF_FACES)
    return found if matters else found[1:]


def _with_quantiles(
    reference: Reference, worst: Sample, among: npt.NDArray[np.intp], quantiles: Sequence[float]
) -> tuple[Sample, ...]:
    """The worst input, and those among others whose answers are at some quantiles."""
    order = among[np.argsort(reference.outputs[among, 0], kind="stable")]
    chosen = [reference.samples[order[round(q * (len(order) - 1))]] for q in quantiles]
    return tuple({sample.name: sample for sample in (worst, *chosen)}.values())


class _Search:
    """A reference and a candidate on the same samples."""

    def __init__(
        self,
        reference: Reference,
        runner: ModelRunner,
        samples: Sequence[Sample],
        precision: str,
        gates: Tolerance | None,
    ) -> None:
        self._least = _LEAST * gates.mean if gates else 0.0
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
        kind = PRECISIONS[self._precision]
        if kind.calibrated and kind.arithmetic == "int8":
            found = self._localised_by_cost(theirs)
            if found is not None:
                return found
        return localise(self._traces, theirs, precision=self._precision, known=self._known)

    def _localised_by_cost(self, theirs: Sequence[Trace]) -> Localisation | None:
        """The localisation of a calibrated file; None if the reference cannot run again."""
        if self._known.replay is None:
            return None
        parts, samples = self._reference.parts, self._samples
        right, wrong = (
            each.raw_outputs(samples) for each in (self._reference.runner, self._runner)
        )
        off = errors_of(parts, right, wrong).max(axis=0) / [part.width for part in parts]
        part = parts[int(off.argmax())]
        answer = answer_of(part.output, part.of(right), self._traces)
        if answer is None:
            return None
        return localise_calibrated(
            self._traces,
            theirs,
            precision=self._precision,
            known=self._known,
            answer=answer,
            least=self._least,
        )
