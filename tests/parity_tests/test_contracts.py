"""Contracts are compared by what they do to an image, and the fields that differ are named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.contract import Contract, Crop, Output
from parity_tests.contracts import contradictions, corrected, differences

RIGHT = Contract(
    (Crop("outer"), Crop("inner", left=0.25)),
    32,
    32,
    "RGB",
    (Output("age", "years"),),
    value_range=(0.0, 1.0),
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.2, 0.1),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"color_order": "BGR", "mean": (0.3, 0.4, 0.5), "std": (0.1, 0.2, 0.2)}, "color_order is"),
        ({"color_order": "BGR"}, "color_order is BGR, not RGB"),
        ({"value_range": (0.0, 255.0)}, "value_range is (0, 255), not (0, 1): a pixel of 128"),
        ({"mean": (0.0, 0.0, 0.0)}, "mean is (0, 0, 0), not (0.5, 0.4, 0.3): a pixel of 128"),
        ({"interpolation": "linear"}, "interpolation is linear, not area"),
        ({"height": 64}, "it is 64 x 32, not 32 x 32"),
        ({"crops": RIGHT.crops[:1]}, "it has 1 inputs, not 2"),
        ({"crops": (Crop("outer"), Crop("inner"))}, "crop 'inner' has left 0, not 0.25"),
    ],
)
def test_a_difference_is_named(change: dict[str, Any], said: str) -> None:
    (found,) = differences(RIGHT, replace(RIGHT, **change))
    assert said in found


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "NHWC"},
        {"crops": (Crop("first"), Crop("second", left=0.25))},
        {"crops": RIGHT.crops[::-1]},
        # The same values, written another way.
        {
            "value_range": (0.0, 255.0),
            "mean": (127.5, 102.0, 76.5),
            "std": (51.0, 51.0, 25.5),
        },
        # The graph does the rest.
        {
            "dtype": "uint8",
            "value_range": (0.0, 255.0),
            "mean": (0.0, 0.0, 0.0),
            "std": (1.0, 1.0, 1.0),
        },
    ],
)
def test_what_changes_nothing_is_no_difference(change: dict[str, Any]) -> None:
    assert differences(RIGHT, replace(RIGHT, **change)) == ()


numbers = st.floats(0.125, 200, width=32)


@given(
    st.sampled_from(["RGB", "BGR"]), st.tuples(numbers, numbers, numbers), numbers, st.booleans()
)
def test_there_is_a_difference_if_an_image_shows_one(
    order: Any, mean: tuple[float, float, float], high: float, wide: bool
) -> None:
    theirs = replace(RIGHT, color_order=order, mean=mean, value_range=(0.0, high))
    theirs = replace(theirs, layout="NHWC") if wide else theirs
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    fixed = corrected(RIGHT, theirs)
    right, wrong, again = (
        np.moveaxis(c.tensor(image), 1 if c.layout == "NCHW" else 3, -1)
        for c in (RIGHT, theirs, fixed)
    )
    np.testing.assert_array_equal(right, again)
    close = np.allclose(right, wrong, rtol=1e-5, atol=1e-5 * np.abs(right).max())
    assert bool(differences(RIGHT, theirs)) or close
    assert differences(RIGHT, fixed) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"color_order": "BGR"}, "color_order is BGR, not RGB"),
        # The file's dtype counts, so its values do.
        ({"dtype": "uint8", "mean": ()}, "mean is (0, 0, 0), not (0.5, 0.4, 0.3)"),
        ({"outputs": (Output("age", "score"),)}, "unit of output 'age' is score, not years"),
        ({"outputs": (Output("a", "years"),)}, "name of output 'a' is a, not age"),
        ({"outputs": (*RIGHT.outputs, Output("b", "score"))}, "it has 2 outputs, not 1"),
    ],
)
def test_a_contradiction_is_named(change: dict[str, Any], said: str) -> None:
    (found,) = contradictions(RIGHT, replace(RIGHT, **change))
    assert said in found


def test_the_dtype_and_the_layout_contradict_nothing() -> None:
    other = replace(RIGHT, dtype="float16", layout="NHWC")
    assert contradictions(RIGHT, other) == ()
