"""The files of a build as every harness records them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agecompact.artifacts.manifest import Build, Manifest
from agecompact.bench import size
from agecompact.bench.record import Artifact, Format
from agecompact.errors import AgecompactError, UsageError
from agecompact.files import sha256_of, size_of
from agecompact.formats import opened_by


@dataclass(frozen=True)
class BuildFile:
    """A file to measure.

    Attributes:
        path: The file, or the folder of a package.
        format: `pytorch` for the source weights, else the manifest's.
        precision: As the manifest names it.
        manifest: Of its build.
    """

    path: Path
    format: str
    precision: str
    manifest: Manifest


def measured_files(build: Build) -> tuple[BuildFile, ...]:
    """The source weights, then every artefact in the manifest's order."""
    manifest = build.manifest
    return (
        BuildFile(build.weights, "pytorch", "float32", manifest),
        *(BuildFile(build.path(e), e.format, e.precision, manifest) for e in manifest.artifacts),
    )


def files_opened_by(runtime: str, build: Build) -> tuple[BuildFile, ...]:
    """The files of a build that a runtime opens, such as `litert`."""
    format_name = opened_by(runtime).name
    return tuple(file for file in measured_files(build) if file.format == format_name)


def described(file: BuildFile) -> Artifact:
    """The file as a record holds it, hashed and measured as it lies there now.

    Raises:
        UsageError: The file is missing.
    """
    if not file.path.exists():
        raise UsageError(
            f"no file at {file.path}",
            why="its manifest lists it",
            fix=f"agecompact export {file.manifest.model}",
        )
    try:
        told = size.measure(file.path, file.precision, file.manifest.folded_parameters)
    except AgecompactError:
        # A broken file has a size of its own and no parts; what ails it is its runtime's to say.
        told = None
    return Artifact(
        model=file.manifest.model,
        file=file.path.name,
        format=cast(Format, file.format),
        precision=file.precision,
        sha256=sha256_of(file.path),
        file_bytes=size_of(file.path),
        parameters=file.manifest.parameters,
        macs=file.manifest.macs,
        size=told,
    )


def reference_of(build: Build) -> str | None:
    """File name of the model's float32 TFLite file; None if the build has none."""
    return next(
        (
            entry.file
            for entry in build.manifest.artifacts
            if (entry.format, entry.precision) == ("tflite", "float32")
        ),
        None,
    )
