"""Costs of mistakes, against plain OpenCV and ONNX Runtime, and with models of known answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from agecompact.artifacts.preprocessing import Cost
from agecompact.contract import Contract, Crop, Output, Reading
from agecompact.errors import UsageError
from agecompact.evaluation.pictures import Picture, unlabelled
from agecompact.evaluation.prediction import BatchPredictions
from agecompact.evaluation.preprocessing import Costs, measure
from agecompact.faces.framing import WHOLE
from agecompact.weights import checkpoints
from parity_tests import inputs
from tests.agecompact.data.synthetic import picture
from tests.invoking import done

AGE = Output("age", "years")
CONTRACT = Contract((Crop("face"),), 8, 8, "BGR", (AGE,))


class Known:
    """Answers with a function of its inputs, `(N, 3, 8, 8)`."""

    def __init__(self, answer: Any, name: str = "age") -> None:
        self.answer, self.name = answer, name

    def stage(self, given: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(given["face"], np.float64)

    def run(self, staged: np.ndarray) -> BatchPredictions:
        return BatchPredictions({self.name: np.array([self.answer(each) for each in staged])}, 0.0)


def blue(values: np.ndarray) -> float:
    return float(values[0].mean())


def faces(folder: Path, colours: Sequence[tuple[int, int, int]], *truths: float) -> list[Picture]:
    """Chips of one colour each, BGR."""
    made = []
    for i, colour in enumerate(colours):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.full((200, 200, 3), colour, np.uint8))
        made.append(Picture(path, WHOLE, "0" * 64, truths[i] if truths else None))
    return made


def cost(found: Costs, name: str) -> Cost:
    return next(each for each in found.costs if each.mistake == name)


def test_distances_are_those_of_known_answers(tmp_path: Path) -> None:
    pictures = faces(tmp_path, [(10, 0, 50), (30, 0, 30), (50, 0, 70)], 20, 30, 80)
    found = measure(Known(blue), CONTRACT, AGE, pictures, "mae")
    # Blue is taken for red: 10 and 50, 30 and 30, 50 and 70.
    moved = np.array([40.0, 0.0, 20.0])
    order = cost(found, "colour-order")
    assert (order.mean, order.greatest) == (pytest.approx(20), pytest.approx(40))
    assert order.p99 == pytest.approx(np.percentile(moved, 99))
    # Errors of 10, 0 and 30 years become 30, 0 and 10.
    assert found.right == pytest.approx(40 / 3)
    assert order.change == pytest.approx(0)
    scaled = cost(found, "range-0-1")
    assert scaled.mean == pytest.approx(30 * 254 / 255, abs=1e-4)
    errors = [20 - 10 / 255, 30 - 30 / 255, 80 - 50 / 255]
    assert scaled.change == pytest.approx(np.mean(errors) - 40 / 3, abs=1e-4)
    # A picture of one colour is the same however it is resized, framed or turned.
    for name in ("resize-nearest", "tight", "low", "turned", "lying"):
        assert cost(found, name).greatest == pytest.approx(0, abs=1e-6), name


def test_batches_are_put_together_in_order(tmp_path: Path) -> None:
    pictures = faces(tmp_path, [(i, 0, 2 * i) for i in range(100)])
    steps: list[int] = []
    found = measure(Known(blue), CONTRACT, AGE, pictures, step=steps.append)
    assert steps == [64, 100]
    assert cost(found, "colour-order").mean == pytest.approx(np.arange(100).mean())
    assert cost(found, "colour-order").greatest == pytest.approx(99)
    assert (found.figure, found.right, found.costs[0].change) == (None, None, None)


def test_the_accuracy_of_genders_falls_with_those_that_turn(tmp_path: Path) -> None:
    gender = Output("gender", "score")
    contract = Contract((Crop("face"),), 8, 8, "BGR", (gender,))
    pictures = faces(tmp_path, [(250, 0, 0), (0, 0, 250), (200, 0, 200), (0, 0, 0)], 1, 0, 1, 0)
    model = Known(lambda values: blue(values) / 250, "gender")
    found = measure(model, contract, gender, pictures, "accuracy")
    assert found.right == 1.0
    assert cost(found, "colour-order").change == pytest.approx(-0.5)


def test_answers_that_are_not_finite_are_counted_and_left_out(tmp_path: Path) -> None:
    pictures = faces(tmp_path, [(10, 0, 200), (20, 0, 30)], 10, 20)
    found = measure(
        Known(lambda v: float("nan") if blue(v) > 100 else blue(v)), CONTRACT, AGE, pictures, "mae"
    )
    order = cost(found, "colour-order")
    assert (order.not_finite, order.mean, order.change) == (1, pytest.approx(10), None)
    with pytest.raises(UsageError, match="NaN or Inf for faces as its contract wants them"):
        measure(Known(lambda _: float("inf")), CONTRACT, AGE, pictures)


def test_of_classes_the_share_that_changes_counts(tmp_path: Path) -> None:
    classes = Output("age", "class", size=2, reading=Reading("argmax"))
    contract = Contract((Crop("face"),), 8, 8, "BGR", (classes,))
    pictures = faces(tmp_path, [(200, 0, 0), (0, 0, 0), (0, 0, 200), (200, 0, 200)])
    model = Known(lambda values: [100.0, blue(values)])
    found = measure(model, contract, classes, pictures)
    assert cost(found, "colour-order").mean == pytest.approx(0.5)


def test_released_figures_are_those_of_plain_opencv_and_onnxruntime(tmp_path: Path) -> None:
    """No code of ours prepares these inputs or runs the network."""
    folder = tmp_path / "chips"
    folder.mkdir()
    contract = checkpoints.read(checkpoints.released_path("ssrnet")).contract
    views = [s.crops["face"] for s in inputs.standard(contract) if s.kind == "face"]
    for i, chip in enumerate([*views, *map(picture, range(4))]):
        cv2.imwrite(str(folder / f"{i:02}.png"), chip)
    artefact = checkpoints.released_path("ssrnet").with_suffix(".onnx")
    target = tmp_path / "found.json"
    done(
        *("preprocessing", "--artifact", artefact, "--images", folder),
        *("--out", tmp_path, "--json", target),
    )
    costs = {each["mistake"]: each for each in json.loads(target.read_text())["costs"]}

    session = onnxruntime.InferenceSession(str(artefact))
    size = (contract.width, contract.height)

    def ages(interpolation: int, scale: float = 1.0, order: int = 1) -> np.ndarray:
        made = []
        for path in sorted(folder.iterdir()):
            small = cv2.resize(cv2.imread(str(path)), size, interpolation=interpolation)
            tensor = small[..., ::order].transpose(2, 0, 1)[None].astype(np.float32) * scale
            made.append(session.run(None, {"face": np.ascontiguousarray(tensor)})[0].item())
        return np.array(made)

    right = ages(cv2.INTER_AREA)
    for name, wrong in {
        "colour-order": ages(cv2.INTER_AREA, order=-1),
        "range-0-1": ages(cv2.INTER_AREA, scale=1 / 255),
        "resize-linear": ages(cv2.INTER_LINEAR),
        "resize-nearest": ages(cv2.INTER_NEAREST),
    }.items():
        moved = np.abs(wrong - right)
        assert moved.max() > 0.05, name
        found = costs[name]
        assert found["mean"] == pytest.approx(moved.mean(), abs=1e-3), name
        assert found["p99"] == pytest.approx(np.percentile(moved, 99), abs=1e-3), name
        assert found["greatest"] == pytest.approx(moved.max(), abs=1e-3), name


def test_a_picture_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (one,) = faces(tmp_path, [(1, 2, 3)])
    assert unlabelled([one.path])[0].chip().shape == (200, 200, 3)
    one.path.unlink()
    with pytest.raises(UsageError, match="has changed since the run began"):
        measure(Known(blue), CONTRACT, AGE, [one])
