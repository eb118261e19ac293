"""The factors of equalised channels.

Calibration makes the channels of a map equally wide (`export.int8.equalise`): each is multiplied by
a factor of at least 1, the widest by 1, and the layers around the map absorb the factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agecompact.runtimes.base import Array, Trace
from parity_tests.localisation.alignment import Pair
from parity_tests.localisation.comparison import Comparison, Known
from parity_tests.localisation.context import FaultContext
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.opkinds import AFFINE, NORM
from parity_tests.localisation.recompute import Values, per_channel

# Channels within this of 1 are not equalised, but rounded.
_NEAR = 0.25
# A channel whose error is above this part of its values says nothing of its factor.
_NOISE = 0.5
# Solving a layer anew moves its constants by less than 8 times this, relative to the greatest.
_SOLVED = 1 / 16


def factors(reference: Values, candidate: Values) -> Values:
    """What each channel of a map was multiplied by, `(channels,)`; ones if it is not equalised.

    Args:
        reference: The map in the float network, `(samples, N, C, ...)`.
        candidate: The map in the candidate, likewise.
    """
    mine, theirs = (per_channel(values) for values in (reference, candidate))
    ones = np.ones(len(mine))
    power = np.square(mine).sum(1)
    if reference.ndim != 5 or not np.isfinite(theirs).all() or not power.any():
        return ones
    found = np.divide((mine * theirs).sum(1), power, out=ones.copy(), where=power > 0)
    left = np.square(theirs - found[:, None] * mine).sum(1)
    clear = (power > 0) & (left < _NOISE**2 * np.square(theirs).sum(1))
    if not clear.any() or (np.abs(found[clear] - 1) < _NEAR).all():
        return ones
    # The widest channel has the factor 1: if all have more, that is no equalisation.
    common = found[clear].min()
    found = np.where(clear, found / common if common > 1 + _NEAR else found, 1.0)
    made: Values = np.maximum(found, 1.0)
    return made


@dataclass(frozen=True)
class Equalised:
    """A float network whose channels have the factors of a calibrated file.

    Attributes:
        compared: The network and the file.
        factors: Of the channels of each tensor, by index; ones, or a single one, for none.
        state: The network's weights by name.
    """

    compared: Comparison
    factors: Mapping[int, Values]
    state: Mapping[str, Array]

    def context(
        self, index: int, pairs: Sequence[Pair], traces: Sequence[Trace], rounding: float
    ) -> FaultContext:
        """What is known of one of its ops, whose inputs are the file's.

        Args:
            index: The step of the network that wrote the op's output.
            pairs: All pairs of tensors.
            traces: Of the network as it is, with the file's tensors before the op, less factors.
            rounding: RMS error of the op in int8, less factors.
        """
        mine, own = self.compared.mine, self.factors[index]
        chain = self.compared.covered(index)
        norms = any(mine.kind(i) == NORM for i in chain)
        scaled = {mine.steps[i].output: each for i, each in self.factors.items()}
        # A batch norm multiplies; the convolution before it does not.
        parts = (i for i in chain if not (norms and mine.kind(i) == AFFINE))
        scaled |= dict.fromkeys((mine.steps[i].output for i in parts), own)
        made = [
            tuple(replace(s, value=_times(s.value, scaled.get(s.output))) for s in trace)
            for trace in traces
        ]
        known = Known({mine.steps[index].output: rounding * float(own.mean())}, self._state(index))
        equal = Comparison(Graph(made), self.compared.theirs, "int8", known, pairs)
        return replace(equal.context(index), rounding_unit=_SOLVED, is_solved=True)

    def _state(self, index: int) -> Mapping[str, Array]:
        """The weights, those around an op with the factors of what it reads and writes."""
        mine, own, state = self.compared.mine, self.factors[index], dict(self.state)
        steps = [(mine.kind(i), mine.steps[i].scope) for i in self.compared.covered(index)]
        norms = [scope for kind, scope in steps if kind == NORM]
        reads = [self.factors[i] for i in self.compared.reads[index]]
        read = reads[0] if len(reads) == 1 else np.ones(1)
        for scope in (scope for kind, scope in steps if kind == AFFINE):
            weight = state.get(f"{scope}.weight")
            if weight is None or weight.ndim != 4:
                continue
            # A depthwise kernel has one input for each output.
            inputs = (-1, 1, 1, 1) if weight.shape[1] == 1 else (1, -1, 1, 1)
            state[f"{scope}.weight"] = np.divide(weight, read.reshape(inputs), dtype=np.float64)
        for scope in norms or [scope for kind, scope in steps if kind == AFFINE]:
            for name in (f"{scope}.weight", f"{scope}.bias"):
                if name in state and own.size > 1:
                    state[name] = _along_first(state[name], own)
        return state


def _times(value: Array, by: Values | None) -> Array:
    if by is None or by.size == 1:
        return value
    made: Array = np.asarray(value, np.float64) * by.reshape(1, -1, *([1] * (value.ndim - 2)))
    return made


def _along_first(values: Array, by: Values) -> Array:
    made: Array = np.asarray(values, np.float64) * by.reshape(-1, *([1] * (values.ndim - 1)))
    return made
