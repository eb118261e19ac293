"""Artefacts are compared over the outputs that real faces get, and the range is reported."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from agecompact.contract import Output
from agecompact.weights import checkpoints
from parity_tests import coverage
from parity_tests.comparing import compare
from parity_tests.coverage import CoveredRange
from parity_tests.foreign import Side, check_pair
from parity_tests.inputs import Sample
from parity_tests.parts import Part
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings
from parity_tests.spans import SPANS
from tests.parity_tests.editing import in_onnx, in_tflite
from tests.parity_tests.output_faults import at_most, onnx_output, tflite_output
from tests.parity_tests.records import GOOD
from tests.support import Agecompact, BuildOf, CopyBuild

_FOLDER = os.environ.get("AGECOMPACT_DATA")
_FACES = 200


@pytest.fixture(scope="module")
def chips() -> list[np.ndarray]:
    if not _FOLDER:
        pytest.skip("AGECOMPACT_DATA does not name UTKFace")
    files = sorted(Path(_FOLDER).rglob("*.jpg"))
    random.Random(0).shuffle(files)
    return [cv2.imread(str(file)) for file in files[:_FACES]]


@pytest.mark.parametrize(
    "model_id",
    [
        "ssrnet",
        "ssrnet-gender",
        "c3ae-plain",
        "c3ae",
        pytest.param("mobileagenet", marks=pytest.mark.slow),
    ],
)
def test_the_outputs_for_real_faces_are_in_the_covered_range(
    model_id: str, chips: list[np.ndarray]
) -> None:
    path = checkpoints.released_path(model_id)
    contract = checkpoints.read(path).contract
    settings = CheckSettings()
    with Reference(path, contract, settings) as reference:
        faces = reference.runner.outputs([Sample("", contract.crop(chip)) for chip in chips])
        (found,) = coverage.covered(reference.outputs, reference.parts[0].unit)
        fixed = reference.outputs[: reference.fixed]
    inside = np.mean((found.low <= faces) & (faces <= found.high))
    before = np.mean((fixed.min() <= faces) & (faces <= fixed.max()))
    print(f"{model_id}: {found}; {inside:.2%} of faces, {before:.2%} with the fixed inputs alone")
    assert inside >= 0.995
    # Otherwise the test would not need the search.
    assert before < 0.95


def test_the_range_is_in_the_report_and_printed(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", ".onnx")
    done = agecompact("parity", build.folder, "--no-search", "--json", "-")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    (found,) = result["covered"]
    assert found["unit"] == "years"
    assert found["low"] < 1
    assert found["high"] > 110
    line = f"compared on outputs from {found['low']:.3g} to {found['high']:.3g} (years)"
    assert f"ssrnet: {line}" in done.stderr
    # The inputs that reach it are counted, and no other search ran.
    assert 20 < result["searched"] < 60
    assert result["searched_error"] <= result["tolerance"]["searched"]


def test_the_range_of_each_model_is_printed_once() -> None:
    ages, scores = CoveredRange(0.5, 114.7, "years"), CoveredRange(-0.5, 11.0, "score")
    results = [
        replace(GOOD, model="ages", covered=(ages,)),
        replace(GOOD, model="ages", covered=(ages,)),
        replace(GOOD, model="not compared"),
        replace(GOOD, model="two", covered=(scores, replace(scores, high=20.0))),
    ]
    assert coverage.lines(results) == [
        "ages: compared on outputs from 0.5 to 115 (years)",
        "two: compared on outputs of 2 values from -0.5 to 20 (score)",
    ]


class Known:
    """A model with known outputs, which are no age."""

    contract = SimpleNamespace(outputs=())

    def __init__(self, outputs: list[float], samples: Sequence[Sample]) -> None:
        self._outputs = dict(zip([s.name for s in samples], outputs, strict=True))

    def outputs(self, samples: Sequence[Sample]) -> np.ndarray:
        return np.array([[self._outputs[sample.name]] for sample in samples])


def test_a_network_that_only_driven_inputs_move_is_degenerate() -> None:
    samples = [Sample(str(i), {}) for i in range(4)]
    outputs = [33.5, 33.5, 2.0, 90.0]
    runner: Any = Known(outputs, samples)
    reference: Any = SimpleNamespace(
        samples=samples,
        fixed=2,
        faces=np.array([0, 1]),
        parts=(Part(Output("age", "years"), slice(0, 1), (SPANS["years"],)),),
        outputs=np.array(outputs)[:, None],
        runner=runner,
        float64={},
    )
    (result,) = compare(GOOD, runner, reference, CheckSettings(budget=None, localise="never"))
    assert (result.status, result.kind) == ("failed", "degenerate")


@pytest.mark.parametrize("format", ["onnx", pytest.param("tflite", marks=pytest.mark.slow)])
def test_a_foreign_pair_is_compared_beyond_the_fixed_inputs(
    format: str, build_of: BuildOf, tmp_path: Path
) -> None:
    """Without gradients, as the reference is an ONNX file."""
    steps = at_most(60.0)
    edit = {"onnx": in_onnx(onnx_output(steps)), "tflite": in_tflite(tflite_output(steps))}
    file = f"ssrnet_float32.{format}"
    folder = build_of("ssrnet").folder
    edit[format](Path(shutil.copy(folder / file, tmp_path)))
    settings = CheckSettings(budget=None, localise="never")
    reference = folder / "ssrnet_float32.onnx"
    (good,) = check_pair(Side(reference), Side(folder / file), settings)
    assert (good.status, good.kind) == ("passed", None)
    assert good.covered[0].high > 100
    (bad,) = check_pair(Side(reference), Side(tmp_path / file), settings)
    assert (bad.status, bad.kind) == ("failed", "mismatch")
    assert bad.max_error == good.max_error
