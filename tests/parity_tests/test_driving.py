"""Models whose range is known are driven to both of its ends, and over what is between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from agecompact.contract import Contract, Output
from agecompact.models import registry
from parity_tests import inputs
from parity_tests.compare import Outputs
from parity_tests.driving import GAP, Model, Slope, drive
from parity_tests.inputs import Sample
from parity_tests.spans import SPANS

ONE = registry.get("ssrnet").contract
THREE = registry.get("c3ae").contract
YEARS = SPANS["years"]
LOW, HIGH = map(float, YEARS.place(np.array([YEARS.low, YEARS.high])))
# Years for a mean of the weighted grey levels.
Curve = Callable[[np.ndarray], np.ndarray]


class Tint:
    """Blue less red, averaged over all crops, then a curve: 0 for grey images.

    Args:
        contract: Its contract.
        curve: Turns -255..255 into the outputs, `(samples,)` into `(samples, values)`.
        slope: The sign of its slope, or 0 for a network that gradients do not pass.
    """

    def __init__(self, contract: Contract, curve: Curve, slope: float = 1.0) -> None:
        self.contract = contract
        self._curve = curve
        self._slope = slope
        self.tried: list[Sample] = []

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        self.tried += samples
        tint = [
            np.mean([crop[..., 0].mean() - crop[..., 2].mean() for crop in sample.crops.values()])
            for sample in samples
        ]
        return self._curve(np.array(tint)).reshape(len(samples), -1)

    def slopes(self, samples: Sequence[Sample], column: int) -> tuple[Outputs, list[Slope]]:
        del column
        shape = (self.contract.height, self.contract.width, 1)
        slope = np.tile(np.float32([self._slope, 0, -self._slope]), shape)
        return self.outputs(samples), [dict.fromkeys(self.contract.input_names, slope)] * len(
            samples
        )

    def driven(self, *, gradient: bool, seed: int = 0) -> tuple[Outputs, Outputs]:
        """The outputs for the inputs found, and for all that are compared."""
        starts = inputs.fixed(self.contract)
        known = self.outputs(starts)
        spans = [SPANS[self.contract.outputs[0].unit]] * known.shape[1]
        model = Model(self.contract, spans, self.outputs, self.slopes if gradient else None)
        self.tried.clear()
        self.found = drive(model, starts, known, seed)
        made = self.outputs(self.found) if self.found else np.empty((0, known.shape[1]))
        return made, np.concatenate([known, made])


def unbounded(tint: np.ndarray) -> np.ndarray:
    """Far beyond the span at both ends."""
    return 40 + 5 * tint


def bounded(tint: np.ndarray) -> np.ndarray:
    """As of a network that ends with a sigmoid."""
    return 1 + 94 / (1 + np.exp(-tint / 8))


def gap(outputs: Outputs) -> float:
    """The widest gap between neighbouring outputs within the ends of the span."""
    within = (outputs >= YEARS.low) & (outputs <= YEARS.high)
    return max(b - a for a, b in pairwise(sorted(YEARS.place(outputs[within]))))


@pytest.mark.parametrize("contract", [ONE, THREE], ids=["one crop", "three crops"])
@pytest.mark.parametrize("gradient", [True, False], ids=["gradient", "random"])
def test_an_unbounded_model_is_driven_to_the_ends_of_its_units_span(
    contract: Contract, gradient: bool
) -> None:
    tint = Tint(contract, unbounded)
    made, compared = tint.driven(gradient=gradient)
    reached = YEARS.place(np.array([made.min(), made.max()]))
    assert 0 <= reached[0] - LOW <= GAP / 5
    assert 0 <= HIGH - reached[1] <= GAP / 5
    assert gap(compared) <= GAP + 1e-9


def test_a_bounded_model_is_driven_to_its_own_ends() -> None:
    _, compared = Tint(ONE, bounded).driven(gradient=True)
    assert compared.min() < 1.5
    assert compared.max() > 94.5
    assert gap(compared) <= GAP + 1e-9


def test_a_gradient_that_vanishes_is_replaced_by_random_changes() -> None:
    made, _ = Tint(ONE, unbounded, slope=0.0).driven(gradient=True)
    reached = YEARS.place(np.array([made.min(), made.max()]))
    assert reached == pytest.approx([LOW, HIGH], abs=GAP / 5)


def test_only_as_many_inputs_are_kept_as_the_gaps_need() -> None:
    made, compared = Tint(ONE, unbounded).driven(gradient=True)
    # At worst, every second gap is as wide as is allowed.
    assert len(made) <= 2 * (HIGH - LOW) / GAP
    for i in range(1, len(made) - 1):
        without = np.delete(compared, len(compared) - len(made) + i, axis=0)
        assert gap(without) > GAP


def test_outputs_that_are_not_finite_are_left_out() -> None:
    def breaks(tint: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.where(tint > 5, np.inf, np.where(tint < -5, np.nan, unbounded(tint)))

    made, _ = Tint(ONE, breaks).driven(gradient=True)
    assert np.isfinite(made).all()
    assert len(made) > 0


def test_each_value_of_an_output_is_driven() -> None:
    def two(tint: np.ndarray) -> np.ndarray:
        return np.stack([np.maximum(unbounded(tint), 30), np.minimum(unbounded(tint), 50)], axis=1)

    made, _ = Tint(ONE, two).driven(gradient=False)
    assert made[:, 0].max() > 110
    assert made[:, 1].min() < -15


def test_a_score_is_driven_over_its_own_span() -> None:
    contract = replace(ONE, outputs=(Output("gender", "score"),))
    made, _ = Tint(contract, lambda tint: 0.5 + tint / 10).driven(gradient=True)
    span = SPANS["score"]
    assert made.min() == pytest.approx(span.low, abs=0.05)
    assert made.max() == pytest.approx(span.high, rel=0.15)


@pytest.mark.parametrize("gradient", [True, False], ids=["gradient", "random"])
def test_a_constant_model_ends_the_search_early(gradient: bool) -> None:
    tint = Tint(ONE, lambda tint: np.full_like(tint, 33.5), slope=0.0)
    made, _ = tint.driven(gradient=gradient)
    assert not len(made)
    assert len(tint.tried) <= 300


@pytest.mark.parametrize("gradient", [True, False], ids=["gradient", "random"])
def test_the_same_seed_finds_the_same_inputs(gradient: bool) -> None:
    one, same, other = Tint(ONE, bounded), Tint(ONE, bounded), Tint(ONE, bounded)
    for tint, seed in ((one, 1), (same, 1), (other, 2)):
        tint.driven(gradient=gradient, seed=seed)
    pixels = [
        np.concatenate([each.crops["face"].ravel() for each in tint.found])
        for tint in (one, same, other)
    ]
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_the_inputs_are_images_of_the_models_size_and_named_by_their_output() -> None:
    tint = Tint(THREE, unbounded)
    made, _ = tint.driven(gradient=True)
    for sample, output in zip(tint.found, made[:, 0], strict=True):
        assert sample.name == f"driven to {output:.3g}"
        assert list(sample.crops) == list(THREE.input_names)
        for crop in sample.crops.values():
            assert (crop.dtype, crop.shape) == (np.uint8, (64, 64, 3))
