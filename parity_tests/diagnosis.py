"""Where the error of an open artefact is born: its ops beside PyTorch's, on one input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agecompact.runtimes.base import Arrays, Trace
from parity_tests.inputs import Sample
from parity_tests.localisation.findings import Localisation, as_json, lines
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import localise
from parity_tests.reference import Reference
from parity_tests.results import Failure
from parity_tests.side import Side


def diagnose(
    reference: Reference, side: Side, sample: Sample, precision: str
) -> Mapping[str, Any] | None:
    """Localises the error of a candidate on one sample.

    Args:
        reference: What is right. Of PyTorch weights, its network is also run with what rounding
            does to it, which tells a fault from a network that amplifies.
        side: The candidate, open.
        sample: The input to look at.
        precision: Of the candidate: `float32` or `float16`.

    Returns:
        `localise.as_json`, with the text for people under `lines`; None where one of the two does
        not tell what its ops write, as the real Core ML does not.
    """
    try:
        candidate = with_inputs(side.trace(sample), side.tensors(sample))
        found = _localised(reference, candidate, sample, precision)
    except Failure:
        return None
    return {**as_json(found), "lines": lines(found)}


def _localised(
    reference: Reference, candidate: Trace, sample: Sample, precision: str
) -> Localisation:
    given: Arrays = reference.side.tensors(sample)
    if reference.weights is None:
        right = with_inputs(reference.side.trace(sample), given)
        return localise([right], [candidate], precision=precision)
    # Imports torch, which a parity run without failures does not need in this process.
    from parity_tests.localisation.rounding import evidence

    seen = evidence(reference.weights, [given], precision)
    return localise(
        seen.traces, [candidate], precision=precision, rounding=seen.rounding, state=seen.state
    )
