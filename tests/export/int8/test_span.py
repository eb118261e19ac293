"""What is said of the faces that int8 is calibrated with."""

from __future__ import annotations

import numpy as np
import pytest

from agecompact.outputs import Output
from export.int8 import span
from export.int8.span import Span, span_of
from tests.export.int8.models import answers, faces_of, float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


def test_views_of_one_face_lack_other_ages(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    contract = build.manifest.contract
    right = answers(float_file(build), faces_of(contract, 24))
    found = span_of({"age": right[:, np.newaxis]}, contract)
    said = found.text
    low, high = np.percentile(right, (1, 99))
    assert said.startswith(
        f"calibrated with 24 faces, whose answers go from {low:.3g} to {high:.3g} years"
    )
    assert "add faces of other ages" in said
    assert found.deviation == pytest.approx(right.std())
    assert found.unit == "years"


def test_answers_that_are_not_known_have_no_span(build_of: BuildOf) -> None:
    assert span_of({}, build_of("ssrnet").manifest.contract) == Span()


def test_faces_of_all_ages_lack_nothing() -> None:
    ages = np.linspace(4.0, 88.0, 100)[:, np.newaxis]
    assert list(span._told(Output("age", "years"), ages)) == [
        "calibrated with 100 faces, whose answers go from 4.84 to 87.2 years"
    ]
    # Nobody knows how far answers of an unknown unit go.
    assert len(list(span._told(Output("mood", "stars"), ages / 100))) == 1
