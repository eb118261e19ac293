"""Checks a build folder against its manifest."""

from __future__ import annotations

from agecompact.artifacts.manifest import Build, Entry
from agecompact.errors import AgecompactError
from agecompact.files import sha256_of, size_of
from agecompact.runtimes import registry as runtimes


def check(build: Build) -> list[str]:
    """Lists the faults of a build, one line each; empty if it is intact.

    Compares the hash of every file and the metadata inside every artefact with the manifest.
    """
    manifest = build.manifest
    faults = []
    files = {manifest.weights: manifest.weights_sha256}
    files.update({entry.file: entry.sha256 for entry in manifest.artifacts})
    for name, sha256 in files.items():
        path = build.folder / name
        if not path.exists():
            faults.append(f"{path} is missing")
        elif sha256_of(path) != sha256:
            faults.append(f"{path} has changed since the export: its sha256 differs")
    for entry in manifest.artifacts:
        if build.path(entry).exists():
            faults.extend(_metadata_faults(build, entry))
    return faults


def _metadata_faults(build: Build, entry: Entry) -> list[str]:
    path = build.path(entry)
    try:
        described = runtimes.read_metadata(path)
    except AgecompactError as error:
        return [f"{path}: {error.what}"]
    faults = []
    if described.model != build.manifest.model:
        faults.append(f"{path} is of model '{described.model}'")
    if described.weights_sha256 != build.manifest.weights_sha256:
        faults.append(f"{path} was converted from other weights")
    if size_of(path) != entry.bytes:
        faults.append(f"{path} has {size_of(path)} bytes, not {entry.bytes}")
    return faults
