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

from agecompact.faces.detection import detector
from agecompact.models.registry import MODELS
from agecompact.predict.load import DEFAULT_MODELS
from agecompact.weights import checkpoints
from parity_tests.inputs import portrait
from tests import hostile
from tests.parity_tests.editing import in_onnx, initializer
from tests.pictures import as_pictures


def images(run):
    return json.loads(run.stdout)["images"]


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
        (picture,) = images(run)
        assert picture["image"] == str(photo)
        ages.append(picture["faces"][0]["age_years"])
    assert ages == pytest.approx([ages[0]] * 4, abs=1e-4)


def test_a_ready_crop_is_not_searched_for_faces(agecompact, build_of, photo, tmp_path):
    finder = detector()
    ready = tmp_path / "chip.png"
    cv2.imwrite(str(ready), finder.chip(portrait(), finder.find(portrait())[0]))
    arguments = ("--artifact", build_of("ssrnet").folder / "ssrnet_float32.onnx", "--json", "-")
    whole = agecompact("predict", photo, *arguments)
    cut = agecompact("predict", ready, "--no-detect", *arguments)
    assert "warning" not in cut.stderr
    (found,), (given,) = images(whole)[0]["faces"], images(cut)[0]["faces"]
    assert given["box"] is None
    assert given["age_years"] == pytest.approx(found["age_years"], abs=1e-5)


def test_a_photo_that_is_no_crop_is_warned_of(agecompact, build_of, photo):
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    run = agecompact("predict", photo, "--no-detect", "--artifact", artifact)
    assert run.returncode == 0
    assert "is not framed as a face chip" in run.stderr
    assert "without --no-detect" in run.stderr


def test_the_default_answers_age_and_gender_without_pytorch(agecompact, photo):
    run = agecompact("predict", photo, "--json", "-", env={"PYTHONPROFILEIMPORTTIME": "1"})
    (face,) = images(run)[0]["faces"]
    # Eileen Collins was 43 in this photo by NASA; the MAE of these weights is about 5 years.
    assert 25 < face["age_years"] < 60
    assert face["gender_score"] < 0.5
    assert "torch" not in run.stderr


def test_the_first_default_is_the_most_accurate_released_model():
    errors = {}
    for model_id in MODELS:
        evaluation = checkpoints.read(checkpoints.released_path(model_id)).card["evaluation"]
        errors[model_id] = evaluation.get("mae_years", np.inf)
    assert min(errors, key=errors.get) == DEFAULT_MODELS[0]


def test_what_fails_does_not_stop_the_others(agecompact, build_of, photo, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("not an image")
    sky = tmp_path / "sky.png"
    cv2.imwrite(str(sky), portrait()[:60, :60])
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    run = agecompact("predict", text, sky, photo, "--artifact", artifact, "--json", "-")
    assert run.returncode == 2
    unread, faceless, read = images(run)
    assert "is not an image" in unread["error"]
    assert faceless == {"image": str(sky), "faces": []}
    assert len(read["faces"]) == 1
    assert "is not an image" in run.stderr
    assert f"{sky}: no face found" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_picture_without_a_face_fails_only_if_asked(agecompact, build_of, tmp_path):
    sky = tmp_path / "sky.png"
    cv2.imwrite(str(sky), portrait()[:60, :60])
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    assert agecompact("predict", sky, "--artifact", artifact).returncode == 0
    strict = agecompact("predict", sky, "--artifact", artifact, "--strict")
    assert strict.returncode == 1
    assert "1 of 1 pictures have no face" in strict.stderr


def test_folders_patterns_and_standard_input_are_looked_at(agecompact, build_of, photo, tmp_path):
    deep = tmp_path / "album" / "2001"
    deep.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        shutil.copyfile(photo, deep / name)
    options = ("--artifact", build_of("ssrnet").folder / "ssrnet_float32.onnx", "--jsonl")
    for given in (tmp_path / "album", tmp_path / "album" / "*" / "?.png"):
        run = agecompact("predict", given, *options)
        assert run.returncode == 0, run.stderr
        found = [json.loads(line) for line in run.stdout.splitlines()]
        assert [each["image"] for each in found] == [str(deep / n) for n in ("a.png", "b.png")]
        assert "2 pictures, 2 faces" in run.stderr
    run = agecompact("predict", "-", *options, stdin=photo)
    assert json.loads(run.stdout)["faces"][0]["box"] == found[0]["faces"][0]["box"]
    missing = agecompact("predict", tmp_path / "*.jpg", *options)
    assert missing.returncode == 2
    assert "no file matches" in missing.stderr


def test_frames_of_a_video_are_sampled(agecompact, build_of, tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for index in range(30):
        writer.write(np.roll(portrait(), 4 * index, axis=1))
    writer.release()
    options = ("--artifact", build_of("ssrnet").folder / "ssrnet_float32.onnx", "--jsonl")
    run = agecompact("predict", path, "--every", "1", "--save", tmp_path / "drawn", *options)
    frames = [json.loads(line) for line in run.stdout.splitlines()]
    assert [frame["time_s"] for frame in frames] == [0.0, 1.0, 2.0]
    places = [frame["faces"][0]["box"]["x"] for frame in frames]
    # Forty pixels a second.
    assert np.diff(places) == pytest.approx([40, 40], abs=8)
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["film-2.jpg", "film-3.jpg", "film.jpg"]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(path.read_bytes()[:100])
    assert "is not a video" in agecompact("predict", broken, *options).stderr


def test_an_absent_camera_is_an_error(agecompact, build_of):
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    run = agecompact("predict", "--source", "97", "--artifact", artifact)
    assert run.returncode == 2
    assert "there is no camera 97" in run.stderr
    assert "Traceback" not in run.stderr


def test_boxes_and_ages_are_drawn(agecompact, build_of, photo, tmp_path):
    artifact = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    run = agecompact("predict", photo, "--artifact", artifact, "--save", tmp_path, "--json", "-")
    box = images(run)[0]["faces"][0]["box"]
    drawn = cv2.imread(str(tmp_path / "portrait.jpg")).astype(int)
    changed = np.abs(drawn - portrait()).max(axis=2) > 60
    left = changed[box["y"] : box["y"] + box["height"], box["x"] - 1 : box["x"] + 2]
    assert left.any(axis=1).mean() > 0.9
    # What is inside the box stays as it was, but for JPEG.
    assert (
        changed[
            box["y"] + 8 : box["y"] + box["height"] - 8, box["x"] + 8 : box["x"] + box["width"] - 8
        ].mean()
        < 0.01
    )


@pytest.mark.parametrize("name", ["ssrnet_float32.mlpackage", "ssrnet_float16.tflite"])
def test_any_artefact_runs(agecompact, build_of, photo, name):
    folder = build_of("ssrnet").folder
    known = agecompact(
        "predict", photo, "--artifact", folder / "ssrnet_float32.onnx", "--json", "-"
    )
    run = agecompact("predict", photo, "--artifact", folder / name, "--json", "-")
    ages = [images(each)[0]["faces"][0]["age_years"] for each in (known, run)]
    assert ages[0] == pytest.approx(ages[1], abs=0.05)


def test_several_models_answer_together(agecompact, build_of, photo):
    files = [build_of(name).folder / f"{name}_float32.onnx" for name in ("ssrnet", "c3ae")]
    run = agecompact(
        "predict", photo, "--artifact", files[0], "--artifact", files[1], "--json", "-"
    )
    (face,) = images(run)[0]["faces"]
    assert [answer["output"] for answer in face["answers"]] == ["age", "age"]
    assert face["age_years"] == face["answers"][0]["values"][0]


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
    assert "the model outputs nan" in images(run)[0]["error"]
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
