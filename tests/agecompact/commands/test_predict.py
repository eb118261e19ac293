import json
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import onnx
import pytest

from agecompact.commands import predict
from agecompact.faces.detection import chip, detect
from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints
from parity_tests.inputs import portrait
from tests import hostile
from tests.parity_tests.editing import in_onnx, initializer
from tests.pictures import as_pictures


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "portrait.png"
    cv2.imwrite(str(path), portrait())
    return path


def test_weights_and_artefacts_predict_the_same_age(agecompact, build_of, photo, tmp_path):
    build = build_of("c3ae")
    pictures = tmp_path / "pictures.tflite"
    shutil.copyfile(build.folder / "c3ae_float32.tflite", pictures)
    as_pictures(pictures)
    ages = []
    for source in (
        ("--weights", build.weights),
        ("--artifact", build.folder / "c3ae_float32.onnx"),
        ("--artifact", build.folder / "c3ae_float32.tflite"),
        ("--artifact", pictures),
    ):
        run = agecompact("predict", photo, *source, "--json", "-")
        assert run.returncode == 0, run.stderr
        (prediction,) = json.loads(run.stdout)
        assert set(prediction) >= {"image", "box", "age_years"}
        assert prediction["image"] == str(photo)
        ages.append(prediction["age_years"])
    assert ages == pytest.approx([ages[0]] * 4, abs=1e-4)


def test_a_ready_crop_is_not_searched_for_faces(agecompact, build_of, photo, tmp_path):
    picture = portrait()
    (box,) = detect(picture)
    ready = tmp_path / "chip.png"
    cv2.imwrite(str(ready), chip(picture, box))
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    arguments = ("--artifact", artifact, "--json", "-")
    whole = json.loads(agecompact("predict", photo, *arguments).stdout)
    cut = json.loads(agecompact("predict", ready, "--no-detect", *arguments).stdout)
    assert cut[0]["box"] is None
    assert cut[0]["age_years"] == pytest.approx(whole[0]["age_years"], abs=1e-5)


def test_released_weights_predict_a_plausible_age(agecompact, photo):
    run = agecompact("predict", photo, "--model", "ssrnet", "--json", "-")
    (prediction,) = json.loads(run.stdout)
    # Eileen Collins was 43 in this photo by NASA; the MAE of these weights is about 6 years.
    assert 20 < prediction["age_years"] < 65


def test_the_default_is_the_most_accurate_released_model():
    errors = {}
    for model_id in MODELS:
        evaluation = checkpoints.read(checkpoints.released_path(model_id)).card["evaluation"]
        errors[model_id] = evaluation.get("mae_years", np.inf)
    best = min(errors, key=errors.get)
    (option,) = (each for each in predict.command.params if each.name == "model")
    assert f"default: {best}, the most accurate one" in option.help
    assert best == predict._DEFAULT_MODEL


def test_bad_images_do_not_stop_the_good_one(agecompact, build_of, photo, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("not an image")
    faceless = tmp_path / "sky.png"
    cv2.imwrite(str(faceless), portrait()[:60, :60])
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    run = agecompact("predict", text, faceless, photo, "--artifact", artifact, "--json", "-")
    assert run.returncode == 2
    assert len(json.loads(run.stdout)) == 1
    assert "is not an image" in run.stderr
    assert "no face found" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "srrnet"), "did you mean 'ssrnet'"),
        (("--artifact", "missing.onnx"), "no file at"),
        (("--artifact", "model.pb"), "cannot tell what"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused(agecompact, photo, arguments, message):
    run = agecompact("predict", photo, *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_a_number_is_an_error(agecompact, copy_build, photo, value):
    artifact = copy_build("ssrnet", "float32.onnx").folder / "ssrnet_float32.onnx"
    in_onnx(initializer("Conv", lambda weights: weights.fill(value)))(artifact)
    run = agecompact("predict", photo, "--artifact", artifact, "--json", "-")
    assert run.returncode == 2
    assert json.loads(run.stdout) == []
    assert "the model outputs nan" in run.stderr
    assert "agecompact parity" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.fixture
def endless(build_of, tmp_path):
    source = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    return hostile.endless_onnx(source, tmp_path / "endless.onnx")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupt_ends_it_while_a_model_hangs(endless, photo, number):
    command = [sys.executable, "-m", "agecompact", "predict", str(photo), "--artifact"]
    with subprocess.Popen([*command, str(endless)], stderr=subprocess.PIPE, text=True) as process:
        worker = hostile.busy_worker(process.pid)
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert process.returncode > 128
    assert "Traceback" not in errors
    assert not worker.is_running() or worker.status() == "zombie"


def test_a_contract_of_any_size_is_refused(agecompact, build_of, photo, tmp_path):
    path = tmp_path / "tall.onnx"
    model = onnx.load_model(str(build_of("ssrnet").folder / "ssrnet_float32.onnx"))
    (entry,) = (each for each in model.metadata_props if each.key == "agecompact")
    entry.value = entry.value.replace('"height":64', '"height":50000')
    onnx.save_model(model, str(path))
    for arguments in (("predict", photo, "--artifact", path), ("inspect", path)):
        run = agecompact(*arguments)
        assert run.returncode == 2
        assert "1024 pixels" in run.stderr
        assert "Traceback" not in run.stderr


def test_an_output_of_several_values_is_an_error(agecompact, build_of, photo, tmp_path):
    path = hostile.wide_onnx(
        build_of("ssrnet").folder / "ssrnet_float32.onnx", tmp_path / "wide.onnx"
    )
    run = agecompact("predict", photo, "--artifact", path)
    assert run.returncode == 2
    assert "outputs 3 values as 'age'" in run.stderr
