"""Whether a build folder still holds what its manifests say."""

from __future__ import annotations

from agecompact.artifacts.manifest import Build, Entry
from agecompact.errors import AgecompactError
from agecompact.files import sha256_of, size_of
from agecompact.runtimes import registry as runtimes


def check(build: Build) -> list[str]:
    """What is wrong with a build: one line a fault, none when it is intact.

    Every file is hashed, and every artefact's own metadata is held to the manifest.
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
            faults.append(f"{path} is not the file that was built: its sha256 differs")
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
        faults.append(f"{path} says it is '{described.model}'")
    if described.weights_sha256 != build.manifest.weights_sha256:
        faults.append(f"{path} says it was converted from other weights")
    if size_of(path) != entry.bytes:
        faults.append(f"{path} is {size_of(path)} bytes, the manifest says {entry.bytes}")
    return faults
