"""Finds inputs that take a model's output from one end of its range to the other.

A fault may act only on outputs that the fixed inputs do not cause, such as a clamp at 20 years. So
images are changed until the output reaches its ends: along the gradient where the model has one,
else at random. Cross-fades between images found on the way give the outputs in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Image
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.mutations import mutated
from parity_tests.spans import Span

# By input name, how an output changes with each pixel of a crop of the model's size, HWC BGR.
Slope = Mapping[str, npt.NDArray[np.float32]]

# Between two neighbouring outputs, in `Span.place`: 5 years, so that no fault hides between them.
GAP = 0.05

_SEED = 20_180_713
# Grey levels that a pixel changes by in one step along the gradient.
_STEPS = (2, 4, 8)
# Random changes start from one of this many images whose outputs are nearest to the end.
_PARENTS = 4
# Less than this counts as no progress: a twentieth of a year.
_PROGRESS = 0.0005
# The input at an end is at most this far from it.
_END = GAP / 5
_PASSES = 5
# Of a model with more values, such as an embedding, only the first ones are driven.
_MOST_VALUES = 8
_HALVINGS = 7


@dataclass(frozen=True)
class Effort:
    """How hard to try to reach an end.

    Attributes:
        rounds: Most rounds.
        children: Images tried in each round.
        patience: Rounds without progress after which to stop.
    """

    rounds: int
    children: int
    patience: int


_ALONG_GRADIENT = Effort(rounds=16, children=4, patience=3)
_AT_RANDOM = Effort(rounds=64, children=8, patience=16)


@dataclass(frozen=True)
class Model:
    """The model to drive.

    Attributes:
        contract: How images become its inputs.
        spans: The span of each value.
        outputs: Runs it; outputs may be infinite or NaN.
        slopes: Runs it and returns a slope of one of its values for each image; None if it has no
            gradient.
    """

    contract: Contract
    spans: Sequence[Span]
    outputs: Callable[[Sequence[Sample]], Outputs]
    slopes: Callable[[Sequence[Sample], int], tuple[Outputs, Sequence[Slope]]] | None


def drive(
    model: Model, starts: Sequence[Sample], outputs: Outputs, seed: int = _SEED
) -> tuple[Sample, ...]:
    """Finds inputs at the ends of a model's range and, where `starts` leave gaps, between them.

    A model may have no ends, or none that a search finds: it stops at the ends of the unit's
    `Span`, or when its effort is spent.

    Args:
        model: The model.
        starts: Known inputs; the first is a face.
        outputs: The model's outputs for them, `(starts, values)`.
        seed: Seed of the random changes. The same seed finds the same inputs on one machine.

    Returns:
        The inputs found, of the model's size, in the order of their outputs.
    """
    found: list[Sample] = []
    contract = replace(model.contract, color_order="BGR", mean=(), std=())
    sized = [
        Sample(each.name, {name: contract.pixels(crop) for name, crop in each.crops.items()})
        for each in starts
    ]
    values = min(outputs.shape[1], _MOST_VALUES)
    for value in range(values):
        search = _Search(model, value, values, np.random.default_rng(seed))
        search.add(sized, outputs, given=True)
        search.to_end(-1)
        search.to_end(+1)
        search.fill()
        found += search.thinned()
    return tuple(found)


@dataclass(frozen=True)
class _Tried:
    """An input that was tried; `output` is its place on the axis of `Span.place`."""

    place: float
    output: float
    sample: Sample
    given: bool


class _Search:
    """Drives one value of the output.

    Args:
        model: The model.
        value: Which of its values.
        values: Number of its values, which share the effort.
        random: Makes the changes.
    """

    def __init__(self, model: Model, value: int, values: int, random: np.random.Generator) -> None:
        self._model = model
        self._value = value
        self._values = values
        self._random = random
        self._span = model.spans[value]
        ends = np.array([self._span.low, self._span.high])
        self._low, self._high = map(float, self._span.place(ends))
        self._tried: list[_Tried] = []

    def add(self, samples: Sequence[Sample], outputs: Outputs, *, given: bool = False) -> None:
        """Remembers inputs and their outputs, except for those that are not finite."""
        column = outputs[:, self._value]
        places = self._span.place(column)
        self._tried += [
            _Tried(float(place), float(output), sample, given)
            for place, output, sample in zip(places, column, samples, strict=True)
            if np.isfinite(place)
        ]

    def to_end(self, sign: int) -> None:
        """Changes images until the output is beyond the span's low (-1) or high (1) end."""
        effort = _ALONG_GRADIENT if self._model.slopes else _AT_RANDOM
        limit = self._high if sign > 0 else -self._low
        before, stale = -np.inf, 0
        samples = self._starts(sign, effort.children)
        _, slopes = self._run(samples)
        for _ in range(max(1, effort.rounds // self._values)):
            samples = [self._next(*each, sign) for each in zip(samples, slopes, strict=True)]
            outputs, slopes = self._run(samples)
            self.add(samples, outputs)
            reached = sign * self._nearest(sign)[0].place
            stale = 0 if reached > before + _PROGRESS else stale + 1
            before = max(before, reached)
            if reached >= limit or stale == effort.patience:
                return

    def _starts(self, sign: int, count: int) -> list[Sample]:
        """The face, and the inputs that are nearest to the end already."""
        nearest = [tried.sample for tried in self._nearest(sign)[: count - 1]]
        return [self._tried[0].sample, *nearest]

    def _nearest(self, sign: int) -> list[_Tried]:
        return sorted(self._tried, key=lambda tried: -sign * tried.place)

    def _run(self, samples: Sequence[Sample]) -> tuple[Outputs, Sequence[Slope]]:
        if self._model.slopes:
            return self._model.slopes(samples, self._value)
        return self._model.outputs(samples), [{} for _ in samples]

    def _next(self, sample: Sample, slope: Slope, sign: int) -> Sample:
        if any(np.any(each) for each in slope.values()) and _finite(slope):
            return _stepped(sample, slope, sign * int(self._random.choice(_STEPS)))
        nearest = self._nearest(sign)
        parent = nearest[self._random.integers(min(_PARENTS, len(nearest)))].sample
        donor = self._tried[self._random.integers(len(self._tried))].sample
        changed = mutated(parent, donor, "mutated", self._random)
        # Large changes find the way, and small ones the last years of it.
        return _faded(parent, changed, self._random.random(), self._noise(parent))

    def fill(self) -> None:
        """Cross-fades images on both sides of each hole, until no hole is wider than `GAP`."""
        for _ in range(_PASSES):
            filled = [self._filled(*hole) for hole in self._holes()]
            if not any(filled):
                return

    def _holes(self) -> list[tuple[_Tried, _Tried]]:
        tried = sorted(self._tried, key=lambda each: each.place)
        return [
            (below, above)
            for below, above in pairwise(tried)
            if min(above.place, self._high) - max(below.place, self._low)
            > (GAP if self._low <= below.place and above.place <= self._high else _END)
        ]

    def _filled(self, below: _Tried, above: _Tried) -> bool:
        """Bisects a cross-fade for an output inside a hole; whether there is one.

        An output in the middle fills a hole best; next to an end, one at the end does.
        """
        bottom, top = max(below.place, self._low), min(above.place, self._high)
        margin = (top - bottom) / 5
        lowest = top - _END if above.place > self._high else bottom + margin
        highest = bottom + _END if below.place < self._low else top - margin
        noise = self._noise(below.sample)
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            share = (low + high) / 2
            sample = _faded(below.sample, above.sample, share, noise)
            outputs = self._model.outputs([sample])
            self.add([sample], outputs)
            place = float(self._span.place(outputs[0, self._value]))
            if lowest <= place <= highest:
                return True
            low, high = (share, high) if place < lowest else (low, share)
        return False

    def _noise(self, sample: Sample) -> dict[str, npt.NDArray[np.float64]]:
        return {name: self._random.random(crop.shape) for name, crop in sample.crops.items()}

    def thinned(self) -> list[Sample]:
        """The ends, and as few inputs between them as leave no gap wider than `GAP`."""
        given = [each for each in self._tried if each.given]
        known = np.array([each.place for each in given])
        found = [
            each
            for each in self._tried
            if self._low <= each.place <= self._high
            and np.abs(known - each.place).min() > _PROGRESS
        ]
        tried = sorted([*given, *found], key=lambda each: each.place)
        following = [*(each.place for each in tried[1:]), np.inf]
        kept: list[Sample] = []
        last = -np.inf
        for each, after in zip(tried, following, strict=True):
            if each.given:
                last = each.place
            elif after - last > GAP:
                last = each.place
                kept.append(Sample(f"driven to {each.output:.3g}", each.sample.crops))
        return kept


def _finite(slope: Slope) -> bool:
    return all(np.isfinite(each).all() for each in slope.values())


def _stepped(sample: Sample, slope: Slope, levels: int) -> Sample:
    """Every pixel that matters, changed by a number of grey levels."""
    return Sample(
        "stepped",
        {
            name: _image(image + levels * np.sign(slope[name]))
            for name, image in sample.crops.items()
        },
    )


def _faded(
    one: Sample, other: Sample, share: float, noise: Mapping[str, npt.NDArray[np.float64]]
) -> Sample:
    """A cross-fade, dithered: a larger share changes a few more pixels, however near the images."""
    return Sample(
        "faded",
        {
            name: _image(image + share * (other.crops[name] - image.astype(float)) + noise[name])
            for name, image in one.crops.items()
        },
    )


def _image(values: npt.NDArray[np.floating]) -> Image:
    """Rounds down."""
    image: Image = np.clip(np.floor(values), 0, 255).astype(np.uint8)
    return image
