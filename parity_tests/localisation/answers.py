"""The answers of a network, as its traces hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agecompact.contract import Output
from agecompact.runtimes.base import Trace
from parity_tests.localisation.recompute import Values

_SAME = 1e-3


@dataclass(frozen=True)
class Answer:
    """One output of a network.

    Attributes:
        output: The output.
        tensor: The tensor of its traces that is this output.
    """

    output: Output
    tensor: str

    def of(self, traces: Sequence[Trace]) -> Values:
        """The answers, `(samples, values)`, in the output's unit."""
        found = (next(s.value for s in t if s.output == self.tensor) for t in traces)
        values = np.stack([np.asarray(value, np.float64).ravel() for value in found])
        made: Values = self.output.compared(values)
        return made


def answer_of(output: Output, right: Values, traces: Sequence[Trace]) -> Answer | None:
    """Finds an output in the traces of a network; None if no tensor has its answers.

    Args:
        output: The output.
        right: Its answers, `(samples, values)`.
        traces: One for each sample.
    """
    width = max(float(np.abs(right).max()), 1e-9)
    for step in reversed(traces[0]):
        if step.value.size != output.size or step.value.dtype.kind != "f":
            continue
        found = Answer(output, step.output)
        if np.abs(found.of(traces) - right).max() < _SAME * width:
            return found
    return None
