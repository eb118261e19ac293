"""The outputs of a model, and how an answer is read from each, as data inside the artefact.

A network rarely outputs what its user asks for: an age comes divided by 100, or as the shares of
101 bins, or as a logit. The contract says how to read it, so that a phone, `predict` and the gates
of `parity` all speak of the answer, in its own unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError

Values = npt.NDArray[np.float64]
ReadingKind = Literal["value", "sigmoid", "expectation", "softmax-expectation", "argmax"]

# No head of a face network has more values. A file may claim any number.
_MOST_VALUES = 100_000


def _softmax(values: Values) -> Values:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Values = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(values: Values) -> Values:
    # Without an overflow for great negative values.
    made: Values = 0.5 * (1.0 + np.tanh(0.5 * values))
    return made


def _expected_bin(shares: Values) -> Values:
    expected: Values = shares @ np.arange(shares.shape[1], dtype=np.float64)[:, np.newaxis]
    return expected


_READINGS: Mapping[str, Callable[[Values], Values]] = {
    "value": lambda values: values,
    "sigmoid": _sigmoid,
    "expectation": _expected_bin,
    "softmax-expectation": lambda values: _expected_bin(_softmax(values)),
    "argmax": lambda values: values.argmax(axis=1, keepdims=True).astype(np.float64),
}
_OF_BINS = frozenset({"expectation", "softmax-expectation", "argmax"})


@dataclass(frozen=True)
class Reading:
    """How an answer is read from the values of an output: what `kind` gives, scaled and shifted.

    Attributes:
        kind: `value`, each value itself; `sigmoid` of each value, a logit; `expectation`, the mean
            place of bins whose shares are the values, counted from 0; `softmax-expectation`, the
            same if the values are logits; `argmax`, the place of the greatest value.
        scale: Multiplies the result: 100 for an age that was divided by 100, or the years from one
            bin to the next.
        offset: Is added after that: the age of bin 0.
    """

    kind: ReadingKind = "value"
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise UsageError("the scale of a reading is 0, so every answer would be the same")


@dataclass(frozen=True)
class Output:
    """One output of a model, a tensor `(N, size)` float32.

    Attributes:
        name: Name of the tensor.
        unit: Unit of the answer. `years`, `score` (0 to 1), `degrees` and `logits` are known to the
            gates of `parity`; any other text is allowed.
        minimum: Smallest answer that the graph can give; None if it has no lower bound.
        maximum: Largest answer that the graph can give; None if it has no upper bound.
        size: Number of values for each image.
        labels: What each value stands for: the classes, or the axes of a pose; may be empty.
        reading: How the answer is read from the values.
    """

    name: str
    unit: str
    minimum: float | None = None
    maximum: float | None = None
    size: int = 1
    labels: tuple[str, ...] = ()
    reading: Reading = Reading()

    def __post_init__(self) -> None:
        what = f"output '{self.name}'"
        if not self.name or not self.unit:
            raise UsageError(f"{what} needs a name and a unit")
        if not 1 <= self.size <= _MOST_VALUES:
            raise UsageError(f"{what} has {self.size} values", fix=f"give 1 to {_MOST_VALUES}")
        if self.reading.kind in _OF_BINS and self.size < 2:
            raise UsageError(
                f"{what} has one value, and '{self.reading.kind}' reads an answer from several",
                fix="give its size, the number of its bins or classes",
            )
        if self.labels and len(self.labels) != self.size:
            raise UsageError(f"{what} has {self.size} values and {len(self.labels)} labels")

    @property
    def answer_size(self) -> int:
        """Number of answers for each image."""
        return 1 if self.reading.kind in _OF_BINS else self.size

    @property
    def compared_size(self) -> int:
        """Number of values that two models are compared in."""
        return self.size if self.reading.kind == "argmax" else self.answer_size

    def compared(self, values: npt.ArrayLike) -> Values:
        """What two models are compared in: the answers, except for an arg-max.

        A class is the same or another one, so classes say nothing of how near a model is to the
        other answer. Their values do.

        Args:
            values: What the model wrote, `(N, size)`.
        """
        if self.reading.kind == "argmax":
            return np.asarray(values, np.float64)
        return self.answers(values)

    @property
    def compared_unit(self) -> str:
        """The unit of what is compared."""
        return "logits" if self.reading.kind == "argmax" else self.unit

    def answers(self, values: npt.ArrayLike) -> Values:
        """Reads the answers.

        Args:
            values: What the model wrote, `(N, size)`.

        Returns:
            `(N, answer_size)` in `unit`.
        """
        read = _READINGS[self.reading.kind](np.asarray(values, np.float64))
        answers: Values = read * self.reading.scale + self.reading.offset
        return answers
