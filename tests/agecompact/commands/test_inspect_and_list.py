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
def test_the_content_of_an_artefact(agecompact, build_of, suffix, key, expected):
    build = build_of("ssrnet")
    run = agecompact("inspect", build.folder / f"ssrnet_{suffix}", "--json", "-")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["model"] == "ssrnet"
    assert record["weights_sha256"] == build.manifest.weights_sha256
    assert record["contract"]["color_order"] == "BGR"
    assert record["content"][key] == expected


def test_inspect_and_list_count_the_same_parameters(agecompact):
    path = checkpoints.released_path("ssrnet")
    record = json.loads(agecompact("inspect", path, "--json", "-").stdout)
    assert record["card"]["data"]["name"] == "UTKFace"
    listed = next(m for m in _listed(agecompact) if m["id"] == "ssrnet")
    assert (listed["parameters"], listed["bn_statistics"]) == (40_531, 384)
    for count in ("parameters", "bn_statistics", "folded_parameters"):
        assert record["content"][count] == listed[count]


def _listed(agecompact):
    return json.loads(agecompact("list", "--json", "-").stdout)["models"]


def test_every_model_is_listed_with_the_figure_on_its_card(agecompact):
    models = _listed(agecompact)
    assert [model["id"] for model in models] == list(MODELS)
    for model in models:
        evaluation = json.loads(
            checkpoints.card_path(checkpoints.released_path(model["id"])).read_text()
        )["evaluation"]
        figure = (
            f"{evaluation['mae_years']:.2f}"
            if "mae_years" in evaluation
            else f"{evaluation['accuracy']:.1%}"
        )
        assert figure in model["released"]
