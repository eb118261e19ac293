"""The files of a build, as every driver records them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts.manifest import Build, Manifest
from agecompact.bench import size
from agecompact.bench.record import Artifact
from agecompact.errors import AgecompactError, UsageError
from agecompact.files import sha256_of, size_of
from agecompact.formats import format_of, opened_by

# Format and precision of the artefact that latencies are ratios to.
REFERENCE = ("tflite", "float32")


@dataclass(frozen=True)
class BuildFile:
    """A file to measure.

    Attributes:
        path: The file, or the folder of a package.
        format: Name of its format in `formats`.
        precision: As in the manifest.
        manifest: Manifest of its build.
    """

    path: Path
    format: str
    precision: str
    manifest: Manifest


def measured_files(build: Build) -> tuple[BuildFile, ...]:
    """The source weights, then every artefact in the manifest's order."""
    manifest = build.manifest
    source = format_of(build.weights)
    return (
        BuildFile(build.weights, source.name, source.precisions[0], manifest),
        *(BuildFile(build.path(e), e.format, e.precision, manifest) for e in manifest.artifacts),
    )


def files_opened_by(runtime: str, build: Build) -> tuple[BuildFile, ...]:
    """The files of a build that a runtime opens, such as `litert`."""
    format_name = opened_by(runtime).name
    return tuple(file for file in measured_files(build) if file.format == format_name)


def described(file: BuildFile) -> Artifact:
    """Returns the file as a record holds it, hashed and measured as it is on disk now.

    Raises:
        UsageError: The file is missing.
    """
    fix = f"agecompact export {file.manifest.model}"
    if not file.path.exists():
        raise UsageError(f"no file at {file.path}", why="the manifest lists it", fix=fix)
    try:
        parts = size.measure(file.path, file.precision, file.manifest.folded_parameters)
    except AgecompactError:
        # The runtime reports what is wrong with a broken file; here only its parts are unknown.
        parts = None
    return Artifact(
        model=file.manifest.model,
        file=file.path.name,
        format=file.format,
        precision=file.precision,
        sha256=sha256_of(file.path),
        file_bytes=size_of(file.path),
        parameters=file.manifest.parameters,
        macs=file.manifest.macs,
        size=parts,
    )


def reference_of(build: Build) -> str | None:
    """File name of the model's reference artefact; None if the build has none."""
    entries = build.manifest.artifacts
    return next((e.file for e in entries if (e.format, e.precision) == REFERENCE), None)
