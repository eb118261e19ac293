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


class SecondExport(NamedTuple):
    """A second export of the same weights, from another folder."""

    folder: Path
    offline: bool
    printed: str


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory, agecompact: Agecompact) -> SecondExport:
    folder = tmp_path_factory.mktemp("another") / "place"
    weights = folder / "under another name.safetensors"
    folder.mkdir()
    random_weights(weights, "ssrnet")
    works = shutil.which("unshare") and not subprocess.call([*OFFLINE, "true"])
    done = agecompact(
        "export", "--weights", weights, "--out", folder, prefix=OFFLINE if works else ()
    )
    assert done.returncode == 0, done.stderr
    return SecondExport(folder / "ssrnet", bool(works), done.stdout)


def test_it_needs_no_network(again: SecondExport) -> None:
    if not again.offline:
        pytest.skip("network namespaces are unavailable (unshare -rn)")
    assert len(list(again.folder.glob("ssrnet_*"))) == 5


def test_off_a_terminal_each_finished_stage_prints_a_line(again: SecondExport) -> None:
    for stage in ("onnx float32", "tflite float32, float16", "coreml float32, float16"):
        assert len(re.findall(rf"^ssrnet: {stage}: [\d.]+ s$", again.printed, re.MULTILINE)) == 1
    assert "bytes" in again.printed


@pytest.mark.parametrize("file", ["float32.onnx", "float32.tflite", "float16.tflite"])
def test_the_same_weights_give_the_same_bytes(
    again: SecondExport, build_of: BuildOf, file: str
) -> None:
    first = build_of("ssrnet").folder / f"ssrnet_{file}"
    assert first.read_bytes() == (again.folder / first.name).read_bytes()


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


def test_no_other_files_are_left_in_the_output_folder(again: SecondExport) -> None:
    assert {path.name for path in again.folder.parent.iterdir()} == {
        "ssrnet",
        "under another name.safetensors",
        "under another name.json",
    }
