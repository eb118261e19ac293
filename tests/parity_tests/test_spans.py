"""The axis on which outputs are spread, and how rounding grows with an output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.contract import Output
from parity_tests.parts import Part
from parity_tests.spans import SPANS, Span, spans_of

spans = pytest.mark.parametrize("span", SPANS.values(), ids=SPANS.keys())
shares = st.floats(-100, 100)


def place(span: Span, share: float) -> float:
    return float(span.place(np.array(span.origin + share * span.width)))


@spans
@given(one=shares, other=shares)
def test_a_greater_output_is_further_along_and_never_by_more_than_it_is_greater(
    span: Span, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert -1e-9 <= place(span, high) - place(span, low) <= high - low + 1e-9


@spans
@given(share=st.floats(0, 1))
def test_within_the_span_a_place_is_the_share_of_it(span: Span, share: float) -> None:
    assert place(span, share) == pytest.approx(share)


@spans
def test_errors_are_absolute_within_the_span_and_count_less_beyond(span: Span) -> None:
    reference = span.origin + np.array([[0.2], [-1.0], [2.0]]) * span.width
    part = Part(Output("x", "years"), slice(0, 1), (span,))
    errors = part.errors(reference, reference + 0.6 * span.width)
    assert errors == pytest.approx(np.array([0.6, 0.6, 0.15]) * span.width)


def test_of_several_values_the_greatest_error_counts() -> None:
    reference = np.array([[1.0, 2.0], [3.0, 4.0]])
    part = Part(Output("pose", "years", size=2), slice(0, 2), (SPANS["years"],) * 2)
    errors = part.errors(reference, reference + np.array([[0.5, -1.0], [0.0, 0.0]]))
    assert errors == pytest.approx([1.0, 0.0])


def test_the_span_of_an_unknown_unit_is_ten_spreads_about_the_mean_of_faces() -> None:
    faces = np.array([[10.0, -4.0], [14.0, -4.0]])
    one, other = spans_of("furlongs", faces)
    assert (one.width, other.width) == (20.0, 20.0)
    assert (one.origin, other.origin) == (2.0, -14.0)
    assert one.low < one.origin < one.origin + one.width < one.high


@pytest.mark.parametrize("answer", [0.0, 3.0, -1e9])
def test_a_constant_output_has_a_span_far_wider_than_rounding(answer: float) -> None:
    (span,) = spans_of("furlongs", np.array([[answer], [answer * (1 + 1e-9)]]))
    assert span.width == pytest.approx(abs(answer) or 1.0)
