"""The Core ML packages of a build, as a record holds them."""

from __future__ import annotations

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build, Entry
from agecompact.bench import files
from agecompact.bench.record import Artifact
from agecompact.errors import UsageError


def packages_of(build: Build) -> tuple[Entry, ...]:
    """The Core ML entries of a build's manifest.

    Raises:
        UsageError: There are none.
    """
    entries = tuple(entry for entry in build.manifest.artifacts if entry.format == "coreml")
    if not entries:
        raise UsageError(
            f"{build.folder} holds no Core ML package",
            why="a Mac and a phone are measured with Core ML alone",
            fix=f"agecompact export {build.manifest.model} --format coreml",
        )
    return entries


def described(build: Build, entry: Entry) -> Artifact:
    """A package, hashed and measured as it lies there now.

    Raises:
        UsageError: It is missing.
    """
    path = build.path(entry)
    if not path.is_dir():
        raise UsageError(f"{path} is missing", fix=f"agecompact export {build.manifest.model}")
    return files.described(files.BuildFile(path, "coreml", entry.precision, build.manifest))


def has_golden_pack(build: Build) -> bool:
    """Whether the answers can be compared there and then."""
    return (build.folder / golden.FOLDER / golden.FILE_NAME).is_file()
