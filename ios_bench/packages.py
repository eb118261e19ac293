"""The Core ML packages and Core AI models of a build."""

from __future__ import annotations

from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench.files import BuildFile, files_opened_by
from agecompact.errors import UsageError

# Formats that Apple's systems run, by their names, which are also those of their runtimes.
FORMATS = ("coreml", "coreai")


def packages_of(build: Build) -> tuple[BuildFile, ...]:
    """Returns the files of a build that Core ML and Core AI open.

    Raises:
        UsageError: There are none.
    """
    packages = tuple(file for name in FORMATS for file in files_opened_by(name, build))
    if not packages:
        raise UsageError(
            f"{build.folder} holds no Core ML package",
            why="Macs, iPhones and iPads are measured with Core ML and Core AI only",
            fix=f"agecompact export {build.manifest.model} --format {FORMATS[0]}",
        )
    return packages


def golden_pack_of(build: Build) -> Path | None:
    """Returns the folder of the build's golden pack; None without one.

    Raises:
        UsageError: It cannot be read, or names or holds what is not a file of the folder.
    """
    folder = build.folder / golden.FOLDER
    return None if golden.read_if_there(folder) is None else folder
