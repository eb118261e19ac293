"""A build that is published in another place is the same, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import ConversionError, UsageError
from agecompact.files import sha256_of
from export import pipeline
from export.publish import outdated
from tests.invoking import done
from tests.support import CopyBuild


def test_every_artefact_arrives_as_it_was(copy_build: CopyBuild, tmp_path: Path) -> None:
    build = copy_build("ssrnet", "_float16.tflite", ".mlpackage")
    published = pipeline.adopt(build, tmp_path / "out", None)
    (found,) = read_builds(tmp_path / "out")
    assert found.manifest == published.manifest == build.manifest
    for entry in found.manifest.artifacts:
        assert sha256_of(found.path(entry)) == entry.sha256
    assert len(found.manifest.artifacts) == 3
    done("verify", tmp_path / "out")


def test_an_artefact_that_has_changed_is_not_published(
    copy_build: CopyBuild, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", ".tflite")
    path = build.path(build.manifest.artifacts[0])
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ConversionError, match="has changed since it was exported"):
        pipeline.adopt(build, tmp_path / "out", None)
    assert not (tmp_path / "out" / "ssrnet").exists()


def test_a_folder_that_is_no_build_is_not_replaced(copy_build: CopyBuild, tmp_path: Path) -> None:
    build = copy_build("ssrnet", ".tflite")
    (tmp_path / "out" / "ssrnet").mkdir(parents=True)
    (tmp_path / "out" / "ssrnet" / "mine.txt").touch()
    with pytest.raises(UsageError, match="in the way"):
        pipeline.adopt(build, tmp_path / "out", None)


def test_other_versions_of_installed_tools_are_outdated() -> None:
    assert outdated({"no-such-tool": "1"}) == ""
    assert "numpy 0.1" in outdated({"numpy": "0.1"})
