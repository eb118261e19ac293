"""What is known about the op where an error originates: the basis of every diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from agecompact.runtimes.base import Array
from parity_tests.localisation.functions import FUNCTIONS
from parity_tests.localisation.graph import rms
from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE
from parity_tests.localisation.recompute import Values

# A hypothesis explains an output if what it leaves is no more than a few roundings of its kernel,
# or than this share of the error, and in any case only a small part of the error.
_ROUNDINGS = 8.0
_SHARE = 1e-3
_PART = 1 / 8


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with an op's output.

    Attributes:
        cause: The cause, or several that explain the output equally well, in a few fixed words.
        evidence: What was observed.
        scope: Path of the module at fault, if it is not the module of the tensor.
    """

    cause: str
    evidence: str
    scope: str | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A possible cause, with the output that the candidate would have if it were true.

    Attributes:
        cause: As in `Diagnosis`; likewise `evidence` and `scope`.
        predicted: The output, `(samples, *shape)`.
        fitted: How many numbers were chosen so that `predicted` is close to the candidate's output.
            With 0, it is a prediction.
    """

    cause: str
    evidence: str
    predicted: Values
    scope: str | None = None
    fitted: int = 0


@dataclass(frozen=True)
class ReferenceOp:
    """One op of the reference between the inputs that agree and the tensor that does not.

    Attributes:
        op: The reference's name for it.
        kind: Its kind (`parity_tests.localisation.opkinds`).
        scope: Its module's path.
        values: What it wrote in the reference, `(samples, *shape)`, float64.
        tensor: Name of what it wrote.
        reads: What it reads, by name.
    """

    op: str
    kind: str
    scope: str
    values: Values
    tensor: str = ""
    reads: Mapping[str, Values] = field(default_factory=dict)


# What the faulty op would have written in the reference, had other tensors had these values.
Replayed = Callable[[Mapping[str, Values]], Values]


@dataclass(frozen=True)
class FaultContext:
    """An op whose output disagrees while its inputs agree, in the reference's layout.

    Attributes:
        reference: The reference's output, `(samples, *shape)`, float64.
        candidate: The candidate's output in the same layout; None if its shape does not fit.
        candidate_shape: The shape of the candidate's tensor.
        candidate_op: The candidate's op.
        inputs: The tensors that it reads, from the reference, by name.
        chain: The reference's ops from these inputs on, in order; the last wrote `reference`.
        rounding: RMS error that rounding alone causes here.
        state: The reference's weights by name; empty if unknown.
        maps: Maps upstream, by name, that a flat input may have been flattened from.
        model_inputs: The reference's inputs of the whole model, by name.
        constants: Weights and biases of the candidate's ops from these inputs on.
        rounding_unit: Largest relative error of one rounding at the candidate's precision.
        candidate_reads: The reference's counterparts of what the candidate's op depends on, by
            name; empty if unknown.
        replay: Runs the reference with other values; None if it cannot run again.
        is_solved: Whether the candidate's weights were solved anew, and need not be PyTorch's.
    """

    reference: Values
    candidate: Values | None
    candidate_shape: tuple[int, ...]
    candidate_op: str
    inputs: Mapping[str, Values]
    chain: Sequence[ReferenceOp]
    rounding: float
    state: Mapping[str, Array] = field(default_factory=dict)
    maps: Mapping[str, Values] = field(default_factory=dict)
    model_inputs: Mapping[str, Values] = field(default_factory=dict)
    constants: Sequence[Array] = ()
    rounding_unit: float = 2.0**-24
    candidate_reads: Mapping[str, Values] = field(default_factory=dict)
    replay: Replayed | None = None
    is_solved: bool = False

    @property
    def kind(self) -> str:
        """The kind of the chain's last op."""
        return self.chain[-1].kind

    @property
    def input(self) -> Values | None:
        """The only input; None if there are several."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else None

    @property
    def last_input(self) -> Values | None:
        """The input of the chain's last op in the reference; None if there are several."""
        return self.chain[-2].values if len(self.chain) > 1 else self.input

    @property
    def floor(self) -> float:
        """RMS error that rounding causes in the candidate, whose values may be greater."""
        if self.candidate is None:
            return self.rounding
        return self.rounding * max(1.0, rms(self.candidate) / max(rms(self.reference), 1e-30))

    def left(self, predicted: Values) -> float:
        """RMS difference of a prediction from the candidate's output; infinite if unlike it."""
        got = self.candidate
        if got is None or predicted.shape != got.shape or not np.isfinite(got).all():
            return inf
        left = rms(got - predicted)
        return left if np.isfinite(left) else inf

    def explains(self, predicted: Values) -> bool:
        """Whether a prediction is the candidate's output, up to rounding."""
        if self.candidate is None:
            return False
        error = rms(self.candidate - self.reference)
        left = self.left(predicted)
        return left <= min(max(_ROUNDINGS * self.floor, _SHARE * error), _PART * error)

    def last_of(self, *kinds: str) -> ReferenceOp | None:
        """The last op of these kinds in the chain."""
        return next((x for x in reversed(self.chain) if x.kind in kinds), None)

    def weight(self) -> Values | None:
        """The weights of the chain's only convolution or Linear; None if unknown."""
        ops = [x for x in self.chain if x.kind == AFFINE]
        return self.parameter(ops[0], "weight") if len(ops) == 1 else None

    def parameter(self, op: ReferenceOp, name: str) -> Values | None:
        """A parameter of an op's module, float64; None if unknown."""
        stored = self.state.get(f"{op.scope}.{name}")
        return None if stored is None else np.asarray(stored, np.float64)

    def activate(self, values: Values) -> Values:
        """Applies the chain's last op to other values if it is an activation."""
        return FUNCTIONS[self.kind](values) if self.kind in ACTIVATIONS else values

    def before(self) -> Values | None:
        """The last op's input in the reference, if it is one tensor of the output's shape."""
        values = self.last_input
        return values if values is not None and values.shape == self.reference.shape else None


def channels_text(which: npt.NDArray[np.intp], count: int) -> str:
    """`channel 5 of 32`, `channels 3, 17 of 32`, `all 32 channels`, `its channel`."""
    listed = [int(i) for i in which]
    if len(listed) == count:
        return f"all {count} channels" if count > 1 else "its only channel"
    names = ", ".join(map(str, listed[:6])) + (" and others" if len(listed) > 6 else "")
    return f"channel{'s' if len(listed) > 1 else ''} {names} of {count}"
