"""What is known of the op where an error is born: the material of every suspicion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agecompact.runtimes.base import Array
from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE, NORM
from parity_tests.localisation.recompute import Values

# A hypothesis explains an error when it leaves at most this part of it.
_LEFT = 0.05


@dataclass(frozen=True)
class Finding:
    """A suspicion that its test bears out.

    Attributes:
        name: What is suspected, in the words of the registry.
        evidence: What was seen.
        scope: Path of the module at fault, where that is another than that of the tensor.
    """

    name: str
    evidence: str
    scope: str | None = None


@dataclass(frozen=True)
class Link:
    """One op of the reference between the inputs that agree and the tensor that does not.

    Attributes:
        op: As the reference names it.
        kind: What it does (`parity_tests.localisation.opkinds`).
        scope: Its module's path.
        values: What it wrote in the reference, `(samples, *shape)`, float64.
    """

    op: str
    kind: str
    scope: str
    values: Values


@dataclass(frozen=True)
class Scene:
    """An op whose output disagrees while its inputs agree, in the reference's layout.

    Attributes:
        reference: What the reference wrote, `(samples, *shape)`, float64.
        candidate: What the candidate wrote, laid out alike; None where its shape is another.
        candidate_shape: That tensor's own shape.
        candidate_op: The candidate's op.
        sources: The tensors that it reads, as the reference has them, by name.
        chain: The reference's ops from those on, in order; the last wrote `reference`.
        rounding: RMS error that rounding alone makes here.
        state: The reference's weights by name; empty where they are not known.
        layouts: Maps upstream of a flat source, from which that was flattened; by its name.
        rivals: For a model's input, what the reference was given at every input, by name.
        constants: What the candidate's ops from those inputs on hold of weights and biases.
        unit: The largest relative error of one rounding at the candidate's precision.
    """

    reference: Values
    candidate: Values | None
    candidate_shape: tuple[int, ...]
    candidate_op: str
    sources: Mapping[str, Values]
    chain: Sequence[Link]
    rounding: float
    state: Mapping[str, Array] = field(default_factory=dict)
    layouts: Mapping[str, Values] = field(default_factory=dict)
    rivals: Mapping[str, Values] = field(default_factory=dict)
    constants: Sequence[Array] = ()
    unit: float = 2.0**-24

    @property
    def kind(self) -> str:
        """What the last op of the chain does."""
        return self.chain[-1].kind

    @property
    def source(self) -> Values | None:
        """The one tensor that is read; None where there are several."""
        return next(iter(self.sources.values())) if len(self.sources) == 1 else None

    def explains(self, predicted: Values, *, over: Values | None = None) -> bool:
        """Whether a prediction is what the candidate wrote, but for rounding.

        Args:
            predicted: Of the reference's shape.
            over: Where to look, booleans; everywhere if None.
        """
        if self.candidate is None or predicted.shape != self.candidate.shape:
            return False
        where = np.ones(predicted.shape, bool) if over is None else np.asarray(over, bool)
        if not where.any() or not np.isfinite(self.candidate[where]).all():
            return False
        error = _rms((self.candidate - self.reference)[where])
        left = _rms((self.candidate - predicted)[where])
        return bool(left <= max(_LEFT * error, 2 * self.rounding) and left < error / 2)

    def affine(self) -> Link | None:
        """The last convolution, Linear or batch norm of the chain."""
        return next((x for x in reversed(self.chain) if x.kind in (AFFINE, NORM)), None)

    def of_kind(self, kind: str) -> Link | None:
        """The last op of a kind in the chain."""
        return next((x for x in reversed(self.chain) if x.kind == kind), None)

    def weight(self) -> Values | None:
        """The weights of the chain's only convolution or Linear; None where unknown."""
        links = [x for x in self.chain if x.kind == AFFINE]
        name = f"{links[0].scope}.weight" if len(links) == 1 else ""
        return np.asarray(self.state[name], np.float64) if name in self.state else None

    def parameter(self, link: Link, name: str) -> Values | None:
        """A parameter of an op's module, float64; None where unknown."""
        stored = self.state.get(f"{link.scope}.{name}")
        return None if stored is None else np.asarray(stored, np.float64)

    def activate(self, values: Values) -> Values:
        """What the chain's activation, if it ends in one, makes of other values."""
        return FUNCTIONS[self.chain[-1].kind](values) if self.kind in ACTIVATIONS else values

    def before(self) -> Values | None:
        """What the chain's last op read in the reference, if that is one tensor of its shape."""
        given = self.chain[-2].values if len(self.chain) > 1 else self.source
        return given if given is not None and given.shape == self.reference.shape else None


FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "hardsigmoid with slope 0.2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu of slope 0.01": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(0, x),
}


def _rms(values: Values) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def channels_text(which: npt.NDArray[np.intp], of: int) -> str:
    """`channel 5 of 32`, `channels 3, 17 of 32`, `all 32 channels`."""
    listed = [int(i) for i in which]
    if len(listed) == of:
        return f"all {of} channels"
    told = ", ".join(map(str, listed[:6])) + (" and others" if len(listed) > 6 else "")
    return f"channel{'s' if len(listed) > 1 else ''} {told} of {of}"
