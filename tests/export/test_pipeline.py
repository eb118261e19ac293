"""The whole pipeline: reproducible bytes, no network access, a correct manifest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.models import registry
from agecompact.runtimes.coreml import read_specification
from tests.support import Agecompact, BuildOf, random_weights

OFFLINE = ("unshare", "-rn")
PACKAGES = ("ssrnet_float32.mlpackage", "ssrnet_float16.mlpackage")
# By format: the stage's line, and the files.
STAGES = {
    "onnx": ("onnx float32", ("ssrnet_float32.onnx",)),
    "tflite": ("tflite float32, float16", ("ssrnet_float32.tflite", "ssrnet_float16.tflite")),
    "coreml": ("coreml float32, float16", PACKAGES),
}
ONNX = "onnx"
EVERY_FORMAT = pytest.param("onnx tflite coreml", marks=pytest.mark.slow)
in_one_or_every_format = pytest.mark.parametrize(
    "again", [pytest.param(ONNX, marks=pytest.mark.slow), EVERY_FORMAT], indirect=True
)
in_every_format = pytest.mark.parametrize("again", [EVERY_FORMAT], indirect=True)


class SecondExport(NamedTuple):
    """A second export of the same weights, from another folder."""

    formats: tuple[str, ...]
    folder: Path
    offline: bool
    printed: str

    @property
    def files(self) -> list[str]:
        return [file for name in self.formats for file in STAGES[name][1]]


@pytest.fixture(scope="module")
def again(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    agecompact: Agecompact,
) -> SecondExport:
    formats = tuple(request.param.split())
    chosen = [word for name in formats for word in ("--format", name)]
    folder = tmp_path_factory.mktemp("another") / "place"
    weights = folder / "under another name.safetensors"
    folder.mkdir()
    random_weights(weights, "ssrnet")
    works = shutil.which("unshare") and not subprocess.call([*OFFLINE, "true"])
    done = agecompact(
        *("export", "--weights", weights, *chosen, "--out", folder),
        prefix=OFFLINE if works else (),
    )
    assert done.returncode == 0, done.stderr
    return SecondExport(formats, folder / "ssrnet", bool(works), done.stdout)


@in_one_or_every_format
def test_it_needs_no_network(again: SecondExport) -> None:
    if not again.offline:
        pytest.skip("network namespaces are unavailable (unshare -rn)")
    assert {path.name for path in again.folder.glob("ssrnet_*")} == set(again.files)


@in_one_or_every_format
def test_off_a_terminal_each_finished_stage_prints_a_line(again: SecondExport) -> None:
    for stage in (STAGES[name][0] for name in again.formats):
        assert len(re.findall(rf"^ssrnet: {stage}: [\d.]+ s$", again.printed, re.MULTILINE)) == 1
    assert "bytes" in again.printed


@in_one_or_every_format
def test_the_same_weights_give_the_same_bytes(again: SecondExport, build_of: BuildOf) -> None:
    compared = [file for file in again.files if file not in PACKAGES]
    assert compared
    for file in compared:
        first = build_of("ssrnet").folder / file
        assert first.read_bytes() == (again.folder / file).read_bytes(), file


@in_every_format
@pytest.mark.parametrize("package", PACKAGES)
def test_core_ml_packages_differ_only_in_uuids_and_date(
    again: SecondExport, build_of: BuildOf, package: str
) -> None:
    one, other = build_of("ssrnet").folder / package, again.folder / package
    pytest.importorskip("coremltools", reason="needs 'coreml'")
    names = {path.relative_to(one) for path in one.rglob("*")}
    assert names == {path.relative_to(other) for path in other.rglob("*")}
    weights = Path("Data/com.apple.CoreML/weights/weight.bin")
    assert (one / weights).read_bytes() == (other / weights).read_bytes()
    assert _specification(one) == _specification(other)
    assert _without_uuids(one) == _without_uuids(other)


def _specification(package: Path) -> Any:
    model = read_specification(str(package))
    del model.description.metadata.userDefined["com.github.apple.coremltools.conversion_date"]
    return model


def _without_uuids(package: Path) -> list[Any]:
    manifest = json.loads((package / "Manifest.json").read_text())
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    entries = sorted(manifest["itemInfoEntries"].values(), key=lambda entry: str(entry["name"]))
    return [manifest["fileFormatVersion"], root, *entries]


def test_the_manifest_lists_the_files(build_of: BuildOf) -> None:
    folder = build_of("ssrnet").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema_version"] == 3
    assert manifest["source"] == registry.get("ssrnet").source
    assert manifest["terms"] == "Random weights, free to use."
    listed = [entry["file"] for entry in manifest["artifacts"]]
    assert listed == [
        "ssrnet_float32.onnx",
        "ssrnet_float32.tflite",
        "ssrnet_float16.tflite",
        *PACKAGES,
    ]
    assert {p.name for p in folder.iterdir()} == {*listed, "ssrnet.safetensors", "manifest.json"}
    for entry in manifest["artifacts"][:3]:
        content = (folder / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        assert entry["conversion_s"] > 0
        assert entry["versions"]["agecompact"]
    assert [entry["opset"] for entry in manifest["artifacts"]] == [18, None, None, 7, 7]
    assert {entry["batch"] for entry in manifest["artifacts"]} == {1}
    weights = (folder / "ssrnet.safetensors").read_bytes()
    assert manifest["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert manifest["folded_parameters"] == 40_147
    contract = read_builds(folder)[0].manifest.contract
    assert contract == registry.get("ssrnet").contract


@in_one_or_every_format
def test_no_other_files_are_left_in_the_output_folder(again: SecondExport) -> None:
    assert {path.name for path in again.folder.parent.iterdir()} == {
        "ssrnet",
        "under another name.safetensors",
        "under another name.json",
    }
