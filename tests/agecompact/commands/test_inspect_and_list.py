import json

import pytest

from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints


@pytest.mark.parametrize(
    ("suffix", "key", "expected"),
    [
        ("float32.onnx", "opsets", {"ai.onnx": 18}),
        ("float32.tflite", "signatures", ["serving_default"]),
        ("float16.mlpackage", "specification_version", 7),
    ],
)
def test_what_is_inside_an_artefact(agecompact, build_of, suffix, key, expected):
    build = build_of("ssrnet")
    run = agecompact("inspect", build.folder / f"ssrnet_{suffix}", "--json", "-")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["model"] == "ssrnet"
    assert told["weights_sha256"] == build.manifest.weights_sha256
    assert told["contract"]["color_order"] == "BGR"
    assert told["content"][key] == expected


def test_weights_tell_their_counts(agecompact):
    path = checkpoints.released_path("ssrnet")
    told = json.loads(agecompact("inspect", path, "--json", "-").stdout)
    assert told["content"]["parameters"] + told["content"]["bn_statistics"] == 40_915
    assert told["card"]["data"]["name"] == "UTKFace"


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".safetensors", ".mlpackage"])
def test_a_text_file_of_that_name_is_refused(agecompact, tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("no model")
    run = agecompact("inspect", path)
    assert run.returncode == 2
    assert str(path) in run.stderr
    assert "Traceback" not in run.stderr


def test_every_model_is_listed_with_what_its_card_says(agecompact):
    told = json.loads(agecompact("list", "--json", "-").stdout)["models"]
    assert [model["id"] for model in told] == list(MODELS)
    for model in told:
        evaluation = json.loads(
            checkpoints.card_path(checkpoints.released_path(model["id"])).read_text()
        )["evaluation"]
        figure = (
            f"{evaluation['mae_years']:.2f}"
            if "mae_years" in evaluation
            else f"{evaluation['accuracy']:.1%}"
        )
        assert figure in model["released"]
