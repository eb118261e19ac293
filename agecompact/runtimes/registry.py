"""Finds the runtime that opens a file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.errors import UsageError
from agecompact.formats import Runtime, format_of, opened_by
from agecompact.imports import resolve
from agecompact.runtimes.base import Backend


def load(runtime: Runtime) -> Backend:
    """Imports the backend of a runtime.

    Raises:
        BackendMissingError: Its extra is not installed.
    """
    return cast(Backend, resolve(runtime.backend, extra=opened_by(runtime.name).extra or "all"))


def runtime_of(path: Path) -> Runtime:
    """The default runtime for a file: the first one of its format.

    Raises:
        UsageError: The file is missing, or has an unknown suffix.
    """
    found = format_of(path)
    if not path.exists():
        raise UsageError(f"no file at {path}", fix="check the path")
    return found.runtimes[0]


def read_metadata(path: Path) -> ArtifactMetadata:
    """Reads the metadata embedded in an artefact: all that is needed to run it without its network.

    Raises:
        UsageError: The file is broken.
        MetadataError: The file opens but was not written by agecompact.
        BackendMissingError: The extra of its format is not installed.
    """
    text = load(runtime_of(path)).read_metadata(str(path))
    if text is None:
        raise MetadataError(
            f"{path} has no agecompact metadata",
            why="it was not written by agecompact export, or its metadata was stripped",
            fix="export it again with `agecompact export`",
        )
    return ArtifactMetadata.from_json(text)
