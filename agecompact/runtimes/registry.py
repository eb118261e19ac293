"""Which backend opens which file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.errors import UsageError
from agecompact.formats import Runtime, format_of, opened_by
from agecompact.imports import resolve
from agecompact.runtimes.base import Backend


def load(runtime: Runtime) -> Backend:
    """Imports a runtime's backend.

    Raises:
        BackendMissingError: Its extra is not installed.
    """
    return cast(Backend, resolve(runtime.backend, extra=opened_by(runtime.name).extra or "all"))


def runtime_of(path: Path) -> Runtime:
    """The runtime that users mean by a file: of a Core ML package, Core ML itself.

    Raises:
        UsageError: No such file, or no runtime opens files of that kind.
    """
    found = format_of(path)
    if not path.exists():
        raise UsageError(f"no file at {path}")
    return found.runtimes[0]


def read_metadata(path: Path) -> ArtifactMetadata:
    """The self-description inside an artefact, by which it is run without its Python model.

    Raises:
        UsageError: The file is broken.
        MetadataError: It opens, but was not written by agecompact.
        BackendMissingError: The format's extra is not installed.
    """
    text = load(runtime_of(path)).read_metadata(str(path))
    if text is None:
        raise MetadataError(
            f"{path} holds no agecompact metadata",
            why="it was not written by agecompact export, or its metadata was stripped",
            fix="export it again",
        )
    return ArtifactMetadata.from_json(text)
