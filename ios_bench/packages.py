"""The Core ML packages of a build."""

from __future__ import annotations

from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench.files import BuildFile, files_opened_by
from agecompact.errors import UsageError
from agecompact.formats import opened_by

RUNTIME = "coreml"


def packages_of(build: Build) -> tuple[BuildFile, ...]:
    """Returns the files of a build that Core ML opens.

    Raises:
        UsageError: There are none.
    """
    packages = files_opened_by(RUNTIME, build)
    if not packages:
        raise UsageError(
            f"{build.folder} holds no Core ML package",
            why="Macs, iPhones and iPads are measured with Core ML only",
            fix=f"agecompact export {build.manifest.model} --format {opened_by(RUNTIME).name}",
        )
    return packages


def golden_pack_of(build: Build) -> Path | None:
    """Returns the folder of the build's golden pack; None without one.

    Raises:
        UsageError: It cannot be read, or names or holds what is not a file of the folder.
    """
    folder = build.folder / golden.FOLDER
    return None if golden.read_if_there(folder) is None else folder
