"""Decoding runs ahead of the model, within bounds, and every face gets its own prediction."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agecompact.contract import Contract, Crop, Image, Output
from agecompact.data.face import Face, Label
from agecompact.errors import UsageError
from agecompact.evaluation.prediction import BATCH, BatchPredictions, open_artifact, predict
from tests.agecompact.data.synthetic import grey

CONTRACT = Contract((Crop("face"),), 8, 8, "BGR", (Output("age", "years"),))
NHWC_UINT8 = Contract(
    (Crop("face"),), 8, 8, "RGB", (Output("age", "years"),), layout="NHWC", dtype="uint8"
)


class Brightness:
    """Predicts the mean of its input after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[int] = []

    def stage(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["face"]

    def run(self, staged: np.ndarray) -> BatchPredictions:
        started = time.perf_counter()
        time.sleep(self.seconds)
        self.batches.append(len(staged))
        values = staged.reshape(len(staged), -1).mean(axis=1)
        return BatchPredictions({"age": values}, time.perf_counter() - started)


def face(path: Path = Path()) -> Face:
    return Face(path.name, path, "", Label(1))


@pytest.fixture
def faces(tmp_path: Path) -> list[Face]:
    """150 grey pictures whose level is their age, and two files without a picture."""
    made = [grey(tmp_path, f"{level}.png", level, Label(level)) for level in range(150)]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return [*made[:70], face(tmp_path / "broken.jpg"), *made[70:], face(tmp_path / "absent.jpg")]


def test_each_face_gets_its_prediction_in_order(faces: list[Face]) -> None:
    model = Brightness()
    predictions = predict(model, CONTRACT, faces)
    assert predictions.unreadable == 2
    assert [f.label.age for f in predictions.faces] == list(range(150))
    np.testing.assert_allclose(predictions.answers["age"][:, 0], range(150), atol=1e-4)
    assert model.batches == [BATCH, BATCH - 1, 152 - 2 * BATCH - 1]
    assert 0 < predictions.model_seconds < predictions.wall_seconds


def test_without_a_readable_face_there_is_no_prediction(faces: list[Face]) -> None:
    predictions = predict(Brightness(), CONTRACT, [faces[-1]])
    assert (predictions.unreadable, predictions.answers["age"].shape) == (1, (0, 1))


def test_images_are_decoded_while_the_model_runs() -> None:
    """Each batch ends only after the images of the next one were decoded."""
    chip = np.zeros((8, 8, 3), np.uint8)
    batches, decoded = 10, itertools.count(1)
    next_batch = [threading.Event() for _ in range(batches)]

    def source(_: Face) -> Image:
        batch, rest = divmod(next(decoded), BATCH)
        if rest == 0:
            next_batch[batch - 1].set()
        return chip

    class Waiting(Brightness):
        def run(self, staged: np.ndarray) -> BatchPredictions:
            following = min(len(self.batches) + 1, batches - 1)
            assert next_batch[following].wait(60), "nothing was decoded meanwhile"
            return super().run(staged)

    model = Waiting()
    predict(model, CONTRACT, [face()] * (batches * BATCH), source)
    assert len(model.batches) == batches


def test_a_slow_model_does_not_pile_up_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    chip = np.zeros((8, 8, 3), np.uint8)
    model, ahead, decoded = Brightness(seconds=0.02), [0], [0]

    def counted(_: Face) -> Image:
        decoded[0] += 1
        ahead.append(decoded[0] - sum(model.batches))
        return chip

    predict(model, CONTRACT, [face()] * (12 * BATCH), counted)
    # Two workers' batches and one in the model; a thread may count another's face late.
    assert max(ahead) <= 4 * BATCH


def test_a_model_that_fails_leaves_no_thread(faces: list[Face]) -> None:
    class Broken(Brightness):
        def run(self, staged: np.ndarray) -> BatchPredictions:
            raise RuntimeError(f"no kernel for {len(staged)}")

    with pytest.raises(RuntimeError, match="no kernel"):
        predict(Broken(), CONTRACT, faces)
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_another_number_of_predictions_is_refused(faces: list[Face]) -> None:
    class Short(Brightness):
        def run(self, staged: np.ndarray) -> BatchPredictions:
            return BatchPredictions({"age": np.zeros(len(staged[:1]))}, 0.0)

    with pytest.raises(UsageError, match="1 values as 'age' for 64 images"):
        predict(Short(), CONTRACT, faces)


def brightness_onnx(path: Path, contract: Contract, batch: int | str, output: str = "age") -> Path:
    """The same model as a file: the mean of its input."""
    kind = TensorProto.UINT8 if contract.dtype == "uint8" else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["face"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axis"], [output], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("face", kind, [batch, *contract.input_shape[1:]])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, 1])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("contract", [CONTRACT, NHWC_UINT8], ids=["nchw-float32", "nhwc-uint8"])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_an_artifact_predicts_one_by_one_and_in_batches(
    batch: int | str, contract: Contract, faces: list[Face], tmp_path: Path
) -> None:
    path = brightness_onnx(tmp_path / "model.onnx", contract, batch)
    with open_artifact(path, 1) as (model, opened):
        assert opened.interface.fixed_batch == (1 if batch == 1 else None)
        predictions = predict(model, contract, faces)
        folder = model._process._folder
        assert not list(folder.glob("*.npy")), "staged batches are removed"
    np.testing.assert_allclose(predictions.answers["age"][:, 0], range(150), atol=1e-4)
    assert 0 < predictions.model_seconds < predictions.wall_seconds
    assert not folder.exists()


def test_an_output_that_the_contract_does_not_name_is_refused(
    faces: list[Face], tmp_path: Path
) -> None:
    path = brightness_onnx(tmp_path / "model.onnx", CONTRACT, 1, output="years")
    with (
        pytest.raises(UsageError, match="no output 'age'"),
        open_artifact(path, 1) as (model, _),
    ):
        predict(model, CONTRACT, faces)


def test_faces_that_do_not_fill_the_batches_of_an_artifact_are_refused(
    faces: list[Face], tmp_path: Path
) -> None:
    path = brightness_onnx(tmp_path / "model.onnx", CONTRACT, 4)
    with open_artifact(path, 1) as (model, _):
        assert len(predict(model, CONTRACT, faces[:8]).faces) == 8
        with pytest.raises(UsageError, match="takes 4 faces at a time"):
            predict(model, CONTRACT, faces[:9])
