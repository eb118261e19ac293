"""The axis on which outputs are spread, and how rounding grows with an output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.compare import output_errors
from parity_tests.spans import SPANS, Span

spans = pytest.mark.parametrize("span", SPANS.values(), ids=SPANS.keys())
shares = st.floats(-100, 100)


def place(span: Span, share: float) -> float:
    return float(span.place(np.array(share * span.width)))


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
    reference = np.array([[0.2], [-1.0], [2.0]]) * span.width
    errors = output_errors(reference, reference + 0.6 * span.width, span)
    assert errors == pytest.approx(np.array([0.6, 0.6, 0.15]) * span.width)


def test_of_several_values_the_greatest_error_counts() -> None:
    reference = np.array([[1.0, 2.0], [3.0, 4.0]])
    errors = output_errors(
        reference, reference + np.array([[0.5, -1.0], [0.0, 0.0]]), SPANS["years"]
    )
    assert errors == pytest.approx([1.0, 0.0])
