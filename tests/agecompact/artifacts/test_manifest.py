"""A manifest is read with types, and names only files in its own folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import UsageError
from tests.support import CopyBuild


def in_entry(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["artifacts"][0].update(fields)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a path out of the folder": (in_entry(file="../../x.onnx"), "'../../x.onnx'"),
    "an absolute path": (in_entry(file="/dev/zero"), "'/dev/zero'"),
    "a path in the folder": (in_entry(file="golden/a.onnx"), "'golden/a.onnx'"),
    "the folder above": (in_entry(file=".."), "'..'"),
    "weights elsewhere": (lambda m: m.update(weights="../w.safetensors"), "'../w.safetensors'"),
    "a model that is a path": (lambda m: m.update(model="../../x"), "'../../x'"),
    "a file that could not be made": (
        lambda m: m.update(
            not_made=[{"file": "../a.onnx", "format": "onnx", "precision": "float32", "reason": ""}]
        ),
        "'../a.onnx'",
    ),
    "an unknown format": (in_entry(format="h5"), "unknown format 'h5'"),
    "an unknown precision": (in_entry(precision="int1"), "unknown precision 'int1'"),
    "a name of another format": (in_entry(file="a.tflite"), "'a.tflite' is not a name for onnx"),
    "a hash that is none": (in_entry(sha256="0"), "sha256"),
    "a negative size": (in_entry(bytes=-1), "bytes"),
    "a size that is text": (in_entry(bytes="1"), "'1' is not an integer"),
    "an entry twice": (lambda m: m["artifacts"].append(m["artifacts"][0]), "several files"),
    "the weights as an artefact": (in_entry(file="manifest.json"), "manifest.json"),
    "entries that are none": (lambda m: m.update(artifacts={"file": "a"}), "is not a list"),
    "a contract of any size": (lambda m: m["contract"].update(height=50_000), "1024 pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_refused_with_the_field(case: str, copy_build: CopyBuild) -> None:
    path = copy_build("ssrnet", ".onnx").folder / "manifest.json"
    content = json.loads(path.read_text())
    damage, reason = BROKEN[case]
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="cannot read manifest") as caught:
        read_builds(path.parent)
    assert reason in caught.value.why
    assert "agecompact export" in caught.value.fix


def test_a_manifest_that_is_a_link_is_refused(copy_build: CopyBuild, tmp_path: Path) -> None:
    path = copy_build("ssrnet", ".onnx").folder / "manifest.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UsageError, match="is a link"):
        read_builds(path.parent)
