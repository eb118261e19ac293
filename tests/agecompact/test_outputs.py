"""Answers are read from what a network writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agecompact.errors import UsageError
from agecompact.outputs import Output, Reading

BINS = 101
LOGITS = arrays(np.float64, (3, BINS), elements=st.floats(-30, 30))


def output(kind: str, size: int = 1, scale: float = 1.0, offset: float = 0.0) -> Output:
    return Output("x", "years", size=size, reading=Reading(kind, scale, offset))  # type: ignore[arg-type]


def test_a_scaled_value_is_in_years() -> None:
    answers = output("value", scale=100.0, offset=5.0).answers([[0.25], [0.3]])
    np.testing.assert_allclose(answers, [[30.0], [35.0]])


def test_a_sigmoid_does_not_overflow() -> None:
    answers = output("sigmoid").answers([[-1e4], [0.0], [np.log(3.0)], [1e4]])
    np.testing.assert_allclose(answers, [[0.0], [0.5], [0.75], [1.0]])


@given(LOGITS)
def test_the_expectation_of_logits_is_that_of_their_softmax(logits: np.ndarray) -> None:
    powers = np.exp(logits)
    shares = powers / powers.sum(1, keepdims=True)
    one = output("softmax-expectation", BINS, scale=0.5, offset=2.0).answers(logits)
    other = output("expectation", BINS, scale=0.5, offset=2.0).answers(shares)
    np.testing.assert_allclose(one, other, rtol=1e-9)
    ages = 2.0 + 0.5 * np.arange(BINS)
    np.testing.assert_allclose(one[:, 0], np.average([ages] * 3, axis=1, weights=shares))


def test_an_argmax_is_a_place_and_is_compared_by_its_values() -> None:
    classes = Output(
        "mood", "class", size=3, labels=("sad", "calm", "glad"), reading=Reading("argmax")
    )
    values = [[0.1, 0.7, 0.2], [3.0, 1.0, 2.0]]
    np.testing.assert_array_equal(classes.answers(values), [[1.0], [0.0]])
    np.testing.assert_array_equal(classes.compared(values), values)
    assert (classes.answer_size, classes.compared_size, classes.compared_unit) == (1, 3, "logits")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "has 0 values"),
        ({"unit": ""}, "needs a name and a unit"),
        ({"labels": ("a", "b")}, "1 values and 2 labels"),
        ({"reading": Reading("expectation")}, "reads an answer from several"),
    ],
)
def test_an_output_that_contradicts_itself_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Output(**{"name": "x", "unit": "years", **changes})


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="every answer would be the same"):
        Reading(scale=0.0)
