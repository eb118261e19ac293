"""`agecompact evaluate`, on weights and on artefacts, and its errors."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from torch import nn

from agecompact.commands import evaluate
from agecompact.errors import AgecompactError, ExitCode
from agecompact.models import registry
from agecompact.weights import checkpoints
from tests.agecompact.data import synthetic
from tests.support import Agecompact, BuildOf, random_network

REAL_DATA = os.environ.get("AGECOMPACT_DATA")

DIES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
FAILS = "raise RuntimeError('the kernel is not there')"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate.command, [str(a) for a in arguments])


def measured(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, (result.output, result.exception)
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def refused(*arguments: object) -> AgecompactError:
    error = run(*arguments).exception
    assert isinstance(error, AgecompactError)
    return error


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 coloured chips named as UTKFace names them."""
    files = {f"{5 + 15 * (i % 6)}_{i // 6 % 2}_0_{i:02}.jpg": i for i in range(60)}
    return synthetic.utkface(tmp_path_factory.mktemp("coloured"), files)


def write_weights(folder: Path, data: Path, split_sha256: str | None = None) -> Path:
    path = folder / "ssrnet.safetensors"
    card: dict[str, Any] = {"data": {"name": data.name}}
    if split_sha256:
        card["split"] = {"sha256": split_sha256}
    checkpoints.write(path, network(), model_id="ssrnet", card=card)
    return path


@cache
def network() -> nn.Module:
    return random_network("ssrnet")


@pytest.fixture(scope="module")
def split_sha256(data: Path) -> str:
    """The hash of the split of the data."""
    sha256: str = measured("ssrnet", "--data", data)["evaluation"]["split_sha256"]
    return sha256


@pytest.fixture
def weights(data: Path, split_sha256: str, tmp_path: Path) -> Path:
    """Weights whose card has the split of the data."""
    return write_weights(tmp_path, data, split_sha256)


@pytest.fixture
def onnx_file(build_of: BuildOf) -> Path:
    """An artefact, which starts faster than weights."""
    return build_of("ssrnet").folder / "ssrnet_float32.onnx"


def test_the_record_names_the_model_and_the_data(weights: Path, data: Path) -> None:
    record = measured("--weights", weights, "--data", data, "--split", "val", "--threads", 2)
    assert record["schema_version"] == 1
    assert record["measured"]["kind"] == "weights"
    assert record["measured"]["file"] == "ssrnet.safetensors"
    assert record["measured"]["model"] == "ssrnet"
    assert record["measured"]["sha256"] == checkpoints.read(weights).sha256
    evaluation = record["evaluation"]
    assert (evaluation["dataset"], evaluation["part"]) == ("utkface", "val")
    assert len(evaluation["split_sha256"]) == 64
    assert evaluation["n"] == 6
    assert evaluation["unreadable"] == 0
    intervals = evaluation["intervals"]
    assert (intervals["resamples"], intervals["seed"], intervals["confidence"]) == (2000, 42, 0.95)
    assert intervals["mae_years"]["low"] < evaluation["mae_years"] < intervals["mae_years"]["high"]
    assert intervals["decades"].keys() == evaluation["decades"].keys()
    assert set(evaluation["genders"]) <= {"female", "male"}
    assert record["machine"]["threads"] == 2
    timing = record["timing"]
    assert 0 < timing["model_seconds"] < timing["wall_seconds"]
    assert record["warnings"] == []
    # A result may be published: it has file names, but no folders.
    assert str(data) not in json.dumps(record)
    assert str(weights.parent) not in json.dumps(record)


def test_the_tables_show_the_figures_of_the_record(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "result.json"
    result = run("--weights", weights, "--data", data, "--split", "all", "--json", target)
    assert result.exit_code == 0, result.output
    evaluation = json.loads(target.read_text())["evaluation"]
    for text in (
        f"{evaluation['mae_years']:.3f} years",
        f"{evaluation['intervals']['mae_years']['low']:.3f} .. ",
        f"{evaluation['rmse_years']:.3f} years",
        f"{evaluation['ca']['5']:.4f}",
        f"{evaluation['decades']['50']['mae_years']:.3f}",
        f"{evaluation['genders']['female']['mae_years']:.3f}",
        "50-59",
        "warning: the part 'all' contains the faces that the weights were trained on",
    ):
        assert text in result.output, text


@pytest.mark.slow
def test_two_runs_differ_in_seconds_only(weights: Path, data: Path) -> None:
    one, other = (measured("--weights", weights, "--data", data) for _ in range(2))
    assert one.pop("timing").keys() == other.pop("timing").keys()
    assert one == other


@pytest.mark.slow
def test_the_parts_make_up_the_whole(onnx_file: Path, data: Path) -> None:
    counts = {
        part: measured("--artifact", onnx_file, "--data", data, "--split", part)["evaluation"]["n"]
        for part in ("train", "val", "test", "all")
    }
    assert counts.pop("all") == sum(counts.values()) == 60


def test_a_limit_takes_faces_of_all_ages(onnx_file: Path, data: Path) -> None:
    arguments = ("--artifact", onnx_file, "--data", data, "--split", "all")
    few = measured(*arguments, "--limit", 12)
    assert (few["limit"], few["evaluation"]["n"]) == (12, 12)
    assert set(few["evaluation"]["decades"]) == {"0", "20", "30", "50", "60", "80"}
    assert measured(*arguments, "--limit", 1000)["evaluation"]["n"] == 60


def test_cached_chips_score_the_same(onnx_file: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("--artifact", onnx_file, "--data", data)
    plain = measured(*arguments)["evaluation"]
    for _ in range(2):
        assert measured(*arguments, "--cache", tmp_path / "cache")["evaluation"] == plain


def test_a_gender_model_is_measured_by_accuracy(data: Path) -> None:
    result = run("ssrnet-gender", "--data", data, "--split", "all", "--json", "-")
    evaluation = json.loads(result.stdout)["evaluation"]
    assert 0 <= evaluation["intervals"]["accuracy"]["low"] <= evaluation["accuracy"] <= 1
    assert set(evaluation["genders"]) == {"female", "male"}
    assert set(evaluation["decades"]) == {"0", "20", "30", "50", "60", "80"}


# The card.


def test_another_split_gives_a_warning(data: Path, tmp_path: Path) -> None:
    path = write_weights(tmp_path, data, "0" * 64)
    result = run("--weights", path, "--data", data, "--json", tmp_path / "result.json")
    assert result.exit_code == 0
    assert "warning: the weights were trained on another split (000000000000)" in result.output
    record = json.loads((tmp_path / "result.json").read_text())
    assert "may have been trained on" in record["warnings"][0]


def test_update_card_writes_the_record_beside_the_weights(weights: Path, data: Path) -> None:
    before = weights.read_bytes()
    record = measured("--weights", weights, "--data", data, "--update-card")
    assert weights.read_bytes() == before
    card = checkpoints.read(weights).card
    assert card["evaluation"] == record["evaluation"]
    assert card["failure_groups"] == record["failure_groups"]
    assert card["data"] == {"name": data.name}
    assert measured("--weights", weights, "--data", data)["evaluation"] == card["evaluation"]


@pytest.mark.parametrize("more", [("--split", "train"), ("--limit", 3)])
def test_a_card_reports_the_test_part_only(
    more: tuple[object, ...], weights: Path, data: Path
) -> None:
    card = checkpoints.card_path(weights).read_text()
    error = refused("--weights", weights, "--data", data, "--update-card", *more)
    assert "whole test part" in error.what
    assert checkpoints.card_path(weights).read_text() == card


@pytest.mark.parametrize("split", [None, "0" * 64])
def test_a_card_of_another_split_is_not_updated(
    split: str | None, data: Path, tmp_path: Path
) -> None:
    path = write_weights(tmp_path, data, split)
    card = checkpoints.card_path(path).read_text()
    assert "cannot update" in refused("--weights", path, "--data", data, "--update-card").what
    assert checkpoints.card_path(path).read_text() == card


# Artefacts.


@pytest.fixture(params=[".onnx", pytest.param(".tflite", marks=pytest.mark.slow)])
def artifact(request: pytest.FixtureRequest, build_of: BuildOf) -> Path:
    if request.param == ".tflite":
        pytest.importorskip("ai_edge_litert")
    return build_of("ssrnet").folder / f"ssrnet_float32{request.param}"


def test_an_artifact_scores_what_its_weights_score(
    artifact: Path, build_of: BuildOf, data: Path
) -> None:
    arguments = ("--data", data, "--split", "all")
    reference = measured("--weights", build_of("ssrnet").weights, *arguments)
    record = measured("--artifact", artifact, *arguments)
    assert record["measured"]["kind"] == "artifact"
    assert record["measured"]["file"] == artifact.name
    assert record["measured"]["weights_sha256"] == reference["measured"]["sha256"]
    assert record["evaluation"]["n"] == 60
    for figure in ("mae_years", "rmse_years", "bias_years"):
        expected = reference["evaluation"][figure]
        assert record["evaluation"][figure] == pytest.approx(expected, abs=0.001)


def test_the_contract_in_the_file_is_applied(artifact: Path, data: Path, tmp_path: Path) -> None:
    content = artifact.read_bytes()
    planted = content.replace(b'"color_order":"BGR"', b'"color_order":"RGB"')
    assert planted != content
    (tmp_path / artifact.name).write_bytes(planted)
    right, wrong = (
        measured("--artifact", p, "--data", data, "--split", "all")["evaluation"]["mae_years"]
        for p in (artifact, tmp_path / artifact.name)
    )
    assert abs(right - wrong) > 0.01


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML predicts here")
def test_core_ml_is_refused_with_its_reason(build_of: BuildOf, data: Path) -> None:
    pytest.importorskip("coremltools")
    path = build_of("ssrnet").folder / "ssrnet_float32.mlpackage"
    error = refused("--artifact", path, "--data", data)
    assert error.exit_code == ExitCode.ENVIRONMENT
    assert "Core ML predicts on macOS only" in error.why
    assert "on a Mac" in error.fix


def test_a_truncated_artifact_is_a_usage_error(
    artifact: Path, data: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    broken = tmp_path / artifact.name
    broken.write_bytes(artifact.read_bytes()[: artifact.stat().st_size // 2])
    done = agecompact("evaluate", "--artifact", broken, "--data", data)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"error: {broken}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("action", "kind"), [(DIES, "crash: its process ended with signal SIG"), (FAILS, "run: ")]
)
def test_an_artifact_that_fails_while_it_runs_is_reported(
    action: str,
    kind: str,
    build_of: BuildOf,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    (stand_in / "onnxruntime.py").write_text(
        "__version__ = '0'\n"
        "class SessionOptions: pass\n"
        "class InferenceSession:\n"
        "    def __init__(self, *_, **__): pass\n"
        "    def get_inputs(self):\n"
        "        port = {'name': 'face', 'shape': [1], 'type': 'tensor(float)'}\n"
        "        return [type('Input', (), port)]\n"
        "    def get_outputs(self): return []\n"
        f"    def run(self, *_): {action}\n"
    )
    # Only the process that runs the artefact imports it; this one has the real module.
    monkeypatch.setenv("PYTHONPATH", str(stand_in))
    error = refused("--artifact", path, "--data", data)
    assert error.exit_code == ExitCode.USAGE
    assert error.what == f"cannot run {path}"
    assert error.why.startswith(kind)
    assert error.fix


def test_a_foreign_file_is_refused(build_of: BuildOf, data: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(build_of("ssrnet").folder / "ssrnet_float32.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    assert (
        "no agecompact metadata"
        in refused("--artifact", tmp_path / "foreign.onnx", "--data", data).what
    )


# Usage errors.


def test_exactly_one_model_is_measured(weights: Path, data: Path) -> None:
    for arguments in (
        (),
        ("ssrnet", "--artifact", weights),
        ("--weights", weights, "--artifact", weights),
    ):
        assert "exactly one model" in refused(*arguments, "--data", data).what


def test_files_of_the_wrong_kind_are_refused(weights: Path, data: Path, tmp_path: Path) -> None:
    artifact = tmp_path / "ssrnet.onnx"
    shutil.copy(weights, artifact)
    assert "is not an ONNX file" in refused("--artifact", artifact, "--data", data).what
    error = refused("--artifact", artifact, "--data", data, "--update-card")
    assert "no card to update" in error.what
    absent = tmp_path / "absent.tflite"
    assert "no file at" in refused("--artifact", absent, "--data", data).what


def test_data_may_come_from_the_environment(
    weights: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGECOMPACT_DATA", str(data))
    assert measured("--weights", weights)["evaluation"]["part"] == "test"


RELEASED = [
    model_id
    for model_id in registry.MODELS
    # MobileAgeNet takes minutes on the test part.
    if model_id != "mobileagenet"
    and (Path(checkpoints.__file__).parent / f"{model_id}.safetensors").is_file()
]


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA, reason="AGECOMPACT_DATA does not name the UTKFace folder")
@pytest.mark.parametrize("model_id", RELEASED)
def test_released_weights_reproduce_their_card(model_id: str) -> None:
    card = checkpoints.read(checkpoints.released_path(model_id)).card
    record = measured(model_id, "--data", REAL_DATA)
    assert record["evaluation"]["split_sha256"] == card["split"]["sha256"]
    for figure in {"mae_years", "accuracy"} & set(card["evaluation"]):
        assert record["evaluation"][figure] == pytest.approx(card["evaluation"][figure], abs=1e-3)
