"""Quantisation-aware training: its forward pass is LiteRT's, and it only ever helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agecompact.artifacts.manifest import Build
from agecompact.contract import Image
from export.int8.calibrate import calibrate
from export.int8.calibration import Calibration, apply, rounded_ops
from export.int8.graph import Graph
from export.int8.layers import row_axis
from export.int8.qat import Progress, Settings, train
from export.int8.rounding import LEVELS
from export.int8.student import Student
from export.int8.writer import to_int8
from tests.export.int8.models import answers, batch_of_chips, float_file
from tests.lit_faces import lit_faces
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")


@pytest.fixture(scope="module")
def build(build_of: BuildOf) -> Build:
    return build_of("ssrnet")


@pytest.fixture(scope="module")
def chips() -> list[Image]:
    """Views of the shipped face in eight lights."""
    return lit_faces(np.linspace(0.4, 1.3, 8))


@pytest.fixture(scope="module")
def calibration(build: Build, chips: list[Image]) -> Calibration:
    return calibrate(float_file(build), batch_of_chips(build.manifest.contract, chips))


def test_the_forward_pass_answers_as_litert(
    build: Build, chips: list[Image], calibration: Calibration
) -> None:
    content, faces = float_file(build), batch_of_chips(build.manifest.contract, chips[::2])
    graph = Graph.parse(content)
    inputs = {t: torch.from_numpy(faces[graph.name(t)]) for t in graph.inputs}
    with torch.no_grad():
        (found,) = Student.of(content, calibration).outputs(inputs).values()
    in_float = answers(content, faces)
    right = answers(to_int8(content, calibration), faces)
    # A sum near the middle of two steps is rounded to another one here, and so are some behind it.
    off, error = (np.abs(each - right).mean() for each in (found.numpy().ravel(), in_float))
    assert off < 0.6 * error


def test_it_makes_up_for_biases_that_are_off(
    build: Build, chips: list[Image], calibration: Calibration
) -> None:
    content = float_file(build)
    off = _with_biases_off(content, calibration)
    told: list[Progress] = []
    settings = Settings(epochs=4, batch=16, rate=0.1)
    trained = train(content, off, chips, build.manifest.contract, settings, told.append)
    assert [each.number for each in told] == [0, 1, 2, 3, 4]
    assert min(each.error for each in told) < 0.7 * told[0].error
    faces = batch_of_chips(build.manifest.contract, chips[4::9])
    right = answers(content, faces)
    before, after = (
        np.abs(answers(to_int8(content, each), faces) - right).mean() for each in (off, trained)
    )
    assert after < 0.8 * before


def test_weights_stay_on_their_grids(
    build: Build, chips: list[Image], calibration: Calibration
) -> None:
    content = float_file(build)
    off = _with_biases_off(content, calibration)
    settings = Settings(epochs=1, batch=16, rate=0.1)
    trained = train(content, off, chips[:24], build.manifest.contract, settings)
    assert trained.plan == off.plan
    assert trained.ranges == off.ranges
    graph = Graph.parse(content)
    apply(graph, trained)
    for op in rounded_ops(graph, trained.plan):
        stored = graph.constant(op.inputs[1])
        assert stored is not None
        rows = np.moveaxis(stored.astype(float), row_axis(op), 0)
        rows = rows.reshape(len(rows), -1)
        steps = rows / (np.abs(rows).max(1, keepdims=True).clip(1e-12) / LEVELS)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_training_that_does_not_help_changes_nothing(
    build: Build, chips: list[Image], calibration: Calibration
) -> None:
    content = float_file(build)
    settings = Settings(epochs=1, batch=16, rate=50.0)
    told: list[Progress] = []
    made = train(content, calibration, chips[:24], build.manifest.contract, settings, told.append)
    assert told[1].error > told[0].error
    assert to_int8(content, made) == to_int8(content, calibration)


def _with_biases_off(content: bytes, calibration: Calibration) -> Calibration:
    """A calibration whose last int8 layers have wrong biases, by a few steps."""
    graph = Graph.parse(content)
    apply(graph, calibration)
    layers = [op for op in rounded_ops(graph, calibration.plan) if op.output in calibration.ranges]
    constants = dict(calibration.constants)
    for op in layers[-6:]:
        low, high = calibration.ranges[op.output]
        stored = graph.constant(op.inputs[2])
        assert stored is not None
        constants[op.inputs[2]] = stored + np.float32((high - low) / 50)
    return replace(calibration, constants=constants)
