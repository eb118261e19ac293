"""What is known about the op where an error originates: the basis of every diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agecompact.runtimes.base import Array
from parity_tests.localisation.graph import rms
from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE
from parity_tests.localisation.recompute import Values

# A hypothesis explains an error if it leaves at most this share of it.
_LEFT = 0.05


@dataclass(frozen=True)
class Diagnosis:
    """A cause that its test confirms.

    Attributes:
        cause: The cause, in a few fixed words.
        evidence: What was observed.
        scope: Path of the module at fault, if it is not the module of the tensor.
    """

    cause: str
    evidence: str
    scope: str | None = None


@dataclass(frozen=True)
class ReferenceOp:
    """One op of the reference between the inputs that agree and the tensor that does not.

    Attributes:
        op: The reference's name for it.
        kind: Its kind (`parity_tests.localisation.opkinds`).
        scope: Its module's path.
        values: What it wrote in the reference, `(samples, *shape)`, float64.
    """

    op: str
    kind: str
    scope: str
    values: Values


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

    def explains(self, predicted: Values) -> bool:
        """Whether a prediction is the candidate's output, up to rounding."""
        if self.candidate is None or predicted.shape != self.candidate.shape:
            return False
        if not np.isfinite(self.candidate).all():
            return False
        error, left = rms(self.candidate - self.reference), rms(self.candidate - predicted)
        return left <= max(_LEFT * error, 2 * self.rounding) and left < error / 2

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


FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "hardsigmoid with slope 0.2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu with slope 0.01": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(0, x),
}


def channels_text(which: npt.NDArray[np.intp], count: int) -> str:
    """`channel 5 of 32`, `channels 3, 17 of 32`, `all 32 channels`."""
    listed = [int(i) for i in which]
    if len(listed) == count:
        return f"all {count} channels"
    names = ", ".join(map(str, listed[:6])) + (" and others" if len(listed) > 6 else "")
    return f"channel{'s' if len(listed) > 1 else ''} {names} of {count}"
