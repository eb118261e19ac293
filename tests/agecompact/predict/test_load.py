"""`agecompact.load`, and the ONNX files that released models predict with."""

import numpy as np
import pytest

import agecompact
from agecompact.errors import UsageError
from agecompact.models.registry import MODELS
from agecompact.predict.load import released_file
from agecompact.predict.predictor import Predictor
from agecompact.runtimes.process import RuntimeProcess
from agecompact.weights import checkpoints
from parity_tests.inputs import portrait, standard

# The gate of float16 files in tolerances.toml is a promise for any picture; these are faces.
_MOST_YEARS = 0.15


@pytest.mark.parametrize("model_id", MODELS)
def test_the_onnx_file_is_of_the_released_weights(model_id: str) -> None:
    path, weights = released_file(model_id), checkpoints.released_path(model_id)
    assert path.suffix == ".onnx"
    with RuntimeProcess(path) as process:
        described = process.metadata()
    assert described.weights_sha256 == checkpoints.read(weights).sha256
    faces = [s for s in standard(described.contract) if s.kind == "face"]
    inputs = {
        name: np.stack([described.contract.tensors(s.crops)[name] for s in faces])
        for name in described.contract.input_names
    }
    found = []
    for file in (path, weights):
        with RuntimeProcess(file) as process:
            process.open()
            found.append(process.infer(inputs))
    for output in described.contract.outputs:
        errors = np.abs(found[0][output.name] - found[1][output.name])
        assert errors.max() < _MOST_YEARS


def test_three_lines_of_python_predict_an_age() -> None:
    with agecompact.load("ssrnet") as predictor:
        (face,) = predictor.predict(portrait())
    assert face.box is not None
    assert face.box.x < 224 < face.box.x + face.box.width
    assert face.age_years is not None
    assert 20 < face.age_years < 70
    assert face.gender_score is None


def test_it_works_without_with_and_closes() -> None:
    predictor = agecompact.load()
    (face,) = predictor.predict(portrait())
    predictor.close()
    assert face.gender_score is not None
    assert predictor.predict(np.zeros((50, 50, 3), np.uint8)) == ()


@pytest.mark.parametrize(("name", "said"), [("srrnet", "ssrnet"), ("no/such.onnx", "no file at")])
def test_what_cannot_be_opened_is_an_error(name: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        agecompact.load(name)
    assert said in str(raised.value)


def test_a_chip_and_the_photo_that_it_is_cut_from_have_the_same_age() -> None:
    from agecompact.faces.detection import detector

    finder = detector()
    chip = finder.chip(portrait(), finder.find(portrait())[0])
    with Predictor([released_file("ssrnet")]) as predictor:
        assert predictor.predict_chip(chip).answers == predictor.predict(portrait())[0].answers
