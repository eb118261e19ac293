"""Faces to calibrate with: their answers cover the range evenly, whatever most faces answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.contract import Image
from agecompact.data.face import spread
from export.int8 import twin
from export.int8.answers import answers_of
from export.int8.selection import selected
from parity_tests.inputs import fixed
from tests.export.int8.models import answers, batch_of_chips, float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")


@pytest.fixture(scope="module")
def build(build_of: BuildOf) -> Build:
    return build_of("ssrnet")


@pytest.fixture(scope="module")
def chips(build: Build) -> list[Image]:
    """Very many alike, and a few views and blurs that answer otherwise."""
    views = [s.crops["face"] for s in fixed(build.manifest.contract) if s.kind == "face"]
    few = [cv2.GaussianBlur(view, (0, 0), 1 + i) for view in views[:4] for i in range(6)]
    alike = [np.clip(views[0].astype(int) + i % 3, 0, 255).astype(np.uint8) for i in range(120)]
    return alike + few


def test_rare_answers_are_kept(build: Build, chips: list[Image]) -> None:
    content, contract = float_file(build), build.manifest.contract
    known = answers_of(content, chips, contract)["age"]
    found = [chips[place] for place in selected(known, len(chips), 24)]
    assert len(found) == 24
    of_all, of_found, of_spread = (
        answers(content, batch_of_chips(contract, each))
        for each in (chips, found, spread(chips, 24))
    )
    part = np.ptp(of_all) / 20
    assert of_found.min() <= of_all.min() + part
    assert of_found.max() >= of_all.max() - part
    assert of_found.std() > 1.5 * of_spread.std()


def test_the_answers_are_those_of_litert(build: Build, chips: list[Image]) -> None:
    content, contract = float_file(build), build.manifest.contract
    # More than are run at a time.
    found = answers_of(content, chips[-60:], contract)
    right = answers(content, batch_of_chips(contract, chips[-60:]))
    assert found["age"].ravel() == pytest.approx(right, abs=1e-3)


def test_few_faces_are_all_used() -> None:
    assert selected(np.linspace(4, 80, 10), 10, 24) == list(range(10))


def test_faces_are_spread_evenly_if_the_graph_cannot_be_run(
    build: Build, chips: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin, "_OPS", {})
    found = answers_of(float_file(build), chips, build.manifest.contract)
    assert found == {}
    assert selected(found.get("age"), len(chips), 24) == list(spread(range(len(chips)), 24))
