"""The files of a build, as every driver records them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agecompact.artifacts.confined import sha256_of
from agecompact.artifacts.manifest import Build, Manifest
from agecompact.bench import size
from agecompact.bench.record import Artifact
from agecompact.errors import AgecompactError, GateError, UsageError
from agecompact.files import size_of
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


@dataclass(frozen=True)
class Readable:
    """What can be measured of some builds.

    Attributes:
        builds: The builds, without the artefacts that cannot be read.
        faults: Why they cannot, a line each.
    """

    builds: tuple[Build, ...]
    faults: tuple[str, ...]


def readable(builds: Iterable[Build], files: Callable[[Build], Iterable[BuildFile]]) -> Readable:
    """Leaves out what cannot be read, so that the rest is measured: missing files, links, pipes.

    Args:
        builds: The builds.
        files: What is measured of a build. If that includes the weights and they cannot be read,
            the whole build is left out.
    """
    kept: list[Build] = []
    faults: list[str] = []
    for build in builds:
        problems = {file.path: _fault(file.path) for file in files(build)}
        faults += filter(None, problems.values())
        if not problems.get(build.weights):
            artifacts = build.manifest.artifacts
            left = tuple(entry for entry in artifacts if not problems.get(build.path(entry)))
            kept.append(replace(build, manifest=replace(build.manifest, artifacts=left)))
    return Readable(tuple(kept), tuple(faults))


def reject(faults: Sequence[str]) -> None:
    """Fails a measurement that had to leave files out.

    Raises:
        GateError: There are faults.
    """
    if faults:
        raise GateError(
            f"{len(faults)} files of the build could not be measured",
            why="\n     ".join(faults),
            fix="export them again, and check the build with: agecompact verify",
        )


def _fault(path: Path) -> str:
    try:
        sha256_of(path)
    except UsageError as error:
        return error.summary
    return ""


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
        UsageError: The file is missing, or it is not a regular file.
    """
    sha256 = sha256_of(file.path)
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
        sha256=sha256,
        file_bytes=size_of(file.path),
        parameters=file.manifest.parameters,
        macs=file.manifest.macs,
        size=parts,
    )


def reference_of(build: Build) -> str | None:
    """File name of the model's reference artefact; None if the build has none."""
    entries = build.manifest.artifacts
    return next((e.file for e in entries if (e.format, e.precision) == REFERENCE), None)
