"""An export over an existing build keeps what is still valid and says what it removes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agecompact.artifacts import golden, manifest
from agecompact.artifacts.manifest import Build, Manifest, NotMade
from agecompact.bench import store
from agecompact.files import sha256_of
from export.publish import Published, _export, publish
from parity_tests import golden as packs
from parity_tests.settings import CheckSettings
from tests.invoking import done
from tests.pictures import as_pictures
from tests.support import BuildOf, CopyBuild

ONNX, TFLITE, HALF = "ssrnet_float32.onnx", "ssrnet_float32.tflite", "ssrnet_float16.tflite"
PACKAGES = ("ssrnet_float32.mlpackage", "ssrnet_float16.mlpackage")
OTHER_HASH = "0" * 64

Republish = Callable[..., Published]


@pytest.fixture(scope="module")
def frozen(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen") / "ssrnet"
    shutil.copytree(build_of("ssrnet").folder, folder)
    packs.freeze(manifest.read_builds(folder)[0], CheckSettings(budget=None))
    return folder


@pytest.fixture
def build(frozen: Path, tmp_path: Path) -> Build:
    """A build with a golden pack, parity results, measurements and a user's file."""
    shutil.copytree(frozen, tmp_path / "build" / "ssrnet")
    build = manifest.read_builds(tmp_path / "build" / "ssrnet")[0]
    hashes = [entry.sha256 for entry in build.manifest.artifacts]
    for place in (build.folder, build.folder.parent):
        (place / "parity.json").write_text(json.dumps({"hashes": hashes}))
        (place / "parity.xml").write_text("<testsuites/>")
        (place / store.FILE_NAME).write_text("{}")
    (build.folder / "notes.txt").write_text("mine")
    return build


@pytest.fixture
def republish(build: Build, tmp_path: Path) -> Republish:
    """Publishes some of the build's own artefacts again, as an export of only these would."""

    def again(*files: str, content: bytes = b"", **changes: Any) -> Published:
        scratch = tmp_path / "scratch"
        entries = []
        for entry in build.manifest.artifacts:
            if entry.file in files:
                copied = scratch / entry.format / entry.file
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(build.path(entry), copied)
                copied.write_bytes(copied.read_bytes() + content)
                entries.append(replace(entry, sha256=sha256_of(copied)))
        shutil.copyfile(build.weights, scratch / build.manifest.weights)
        made = replace(build.manifest, artifacts=tuple(entries), **changes)
        return publish(made, scratch, build.folder.parent, Path("my weights.safetensors"))

    return again


def removed(published: Published) -> dict[str, str]:
    return {each.path.name: each.why for each in published.removed}


def assert_listed(folder: Path) -> Manifest:
    """The build's files are those of its manifest, with the same hashes."""
    read = manifest.read_builds(folder)[0].manifest
    for entry in read.artifacts:
        assert sha256_of(folder / entry.file) == entry.sha256
    names = {path.name for path in folder.glob("ssrnet_*")}
    assert names == {entry.file for entry in read.artifacts}
    return read


def test_artefacts_of_the_same_weights_and_tools_are_kept(
    build: Build, republish: Republish
) -> None:
    pack = sha256_of(build.folder / golden.FOLDER)
    published = republish(ONNX)
    assert published.removed == ()
    assert published.kept == (TFLITE, HALF, *PACKAGES)
    assert assert_listed(build.folder) == published.manifest == build.manifest
    assert sha256_of(build.folder / golden.FOLDER) == pack
    for place in (build.folder, build.folder.parent):
        assert (place / "parity.json").exists()
    assert (build.folder / "notes.txt").read_text() == "mine"


def test_artefacts_of_other_weights_are_removed_by_name(build: Build, republish: Republish) -> None:
    published = republish(ONNX, weights_sha256=OTHER_HASH)
    why = "it was made from other weights"
    assert removed(published) == {
        **dict.fromkeys([TFLITE, HALF, *PACKAGES, golden.FOLDER], why),
        **dict.fromkeys(
            ["parity.json", "parity.xml"], "it has results of files that were replaced"
        ),
    }
    assert [entry.file for entry in assert_listed(build.folder).artifacts] == [ONNX]
    assert not (build.folder / golden.FOLDER).exists()
    for place in (build.folder, build.folder.parent):
        assert not (place / "parity.json").exists()
        assert (place / store.FILE_NAME).exists(), "measurements name the hash of their file"
    assert (build.folder / "notes.txt").read_text() == "mine"
    commands = {each.path.name: each.again for each in published.removed}
    out = build.folder.parent
    assert commands[HALF] == (
        f"agecompact export ssrnet --weights 'my weights.safetensors' --format tflite --out {out}"
    )
    assert commands[golden.FOLDER] == f"agecompact parity freeze {build.folder}"


def test_the_command_for_a_file_of_pictures_asks_for_pictures(
    build: Build, republish: Republish
) -> None:
    as_pictures(build.folder / TFLITE)
    published = republish(ONNX, weights_sha256=OTHER_HASH)
    commands = {each.path.name: each.again for each in published.removed}
    asked = {file: "--input image" in command for file, command in commands.items()}
    assert asked.pop(TFLITE)
    assert not any(asked.values()), asked


def test_a_new_version_of_a_tool_makes_its_artefacts_stale(
    build: Build, republish: Republish, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = "onnx2tf"
    monkeypatch.setattr("export.publish._installed", lambda name: "99" if name == tool else None)
    published = republish(ONNX)
    assert published.kept == PACKAGES
    gone = removed(published)
    assert re.fullmatch(r"it was made with onnx2tf [\d.]+, and 99 is installed", gone[TFLITE])
    assert set(gone) == {TFLITE, HALF, "parity.json", "parity.xml"}
    assert_listed(build.folder)


def test_a_changed_contract_makes_the_rest_stale(build: Build, republish: Republish) -> None:
    contract = replace(build.manifest.contract, color_order="RGB")
    assert contract != build.manifest.contract
    published = republish(ONNX, contract=contract)
    assert published.kept == ()
    assert (
        removed(published)[golden.FOLDER]
        == removed(published)[TFLITE]
        == "the contract has changed"
    )


def test_changed_terms_make_the_rest_stale(republish: Republish) -> None:
    """They are inside each artefact."""
    published = republish(ONNX, terms="for research only")
    assert published.kept == ()
    assert removed(published)[TFLITE] == "the source or the terms of the weights have changed"
    assert golden.FOLDER not in removed(published)


def test_a_damaged_artefact_is_not_kept(build: Build, republish: Republish) -> None:
    (build.folder / TFLITE).write_bytes(b"damaged")
    published = republish(ONNX)
    assert removed(published)[TFLITE] == "it has changed since it was exported"
    assert HALF in published.kept
    assert_listed(build.folder)


def test_results_go_with_the_file_that_they_are_about(build: Build, republish: Republish) -> None:
    published = republish(ONNX, content=b" ")
    assert set(removed(published)) == {"parity.json", "parity.xml"}
    assert (build.folder / golden.FOLDER).exists(), "it depends on the weights only"


def test_results_of_other_models_stay(build: Build, republish: Republish) -> None:
    for place in (build.folder, build.folder.parent):
        (place / "parity.json").write_text(json.dumps({"hashes": [OTHER_HASH]}))
    assert republish(ONNX, content=b" ").removed == ()


def test_a_pack_without_a_new_artefact_is_stale(build: Build, republish: Republish) -> None:
    index = json.loads((build.folder / golden.FOLDER / golden.FILE_NAME).read_text())
    del index["tolerances"][HALF]
    (build.folder / golden.FOLDER / golden.FILE_NAME).write_text(json.dumps(index))
    assert removed(republish(ONNX)) == {golden.FOLDER: f"it does not cover {HALF}"}


def test_a_failed_conversion_leaves_no_older_artefact(build: Build, republish: Republish) -> None:
    failed = NotMade(TFLITE, "tflite", "float32", "no")
    published = republish(ONNX, not_made=(failed,))
    assert removed(published)[TFLITE] == "its conversion failed"
    assert assert_listed(build.folder).not_made == (failed,)


def test_an_earlier_failure_stays_on_record(build: Build, republish: Republish) -> None:
    failed = NotMade(TFLITE, "tflite", "float32", "no")
    others = tuple(entry for entry in build.manifest.artifacts if entry.file != TFLITE)
    manifest.write(build.folder, replace(build.manifest, artifacts=others, not_made=(failed,)))
    assert republish(ONNX).manifest.not_made == (failed,)
    assert republish(TFLITE).manifest.not_made == ()


def test_a_build_whose_manifest_cannot_be_read_is_replaced(
    build: Build, republish: Republish
) -> None:
    (build.folder / manifest.FILE_NAME).write_text("{")
    published = republish(ONNX)
    assert published.kept == ()
    assert removed(published)[HALF] == "manifest.json could not be read"
    assert_listed(build.folder)
    assert (build.folder / "notes.txt").exists()


@pytest.mark.slow
def test_the_verb_says_what_it_kept_and_removed(build_of: BuildOf, copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".onnx", ".tflite")
    out = build.folder.parent
    weights = build_of("ssrnet").folder.parent / "ssrnet.safetensors"
    (build.folder / TFLITE).write_bytes(b"damaged")
    made = done("export", "--weights", weights, "--format", "onnx", "--out", out)
    assert re.search(rf"{HALF}  [\d,]+ bytes, kept\n", made.stdout)
    assert made.stdout.endswith(
        f"removed {build.folder / TFLITE}: it has changed since it was exported\n"
        "to make it again:\n"
        f"  agecompact export ssrnet --weights {weights} --format tflite --out {out}\n"
    )
    assert not (build.folder / TFLITE).exists()


@pytest.mark.parametrize(
    ("source", "weights", "calibration"),
    [(Path("w.safetensors"), "--weights w.safetensors ", " --calibration FOLDER"), (None, "", "")],
)
def test_int8_of_other_weights_is_made_again_with_faces(
    source: Path | None, weights: str, calibration: str, build: Build
) -> None:
    """Released weights have a calibration."""
    command = _export(build.manifest, "ssrnet_int8.tflite", Path("out"), source)
    assert command == (
        f"agecompact export ssrnet {weights}--format tflite --precision int8{calibration} --out out"
    )
