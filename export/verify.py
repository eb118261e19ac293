"""Checks a build folder against its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import confined, golden, manifest, preprocessing
from agecompact.artifacts.manifest import Build, Entry
from agecompact.artifacts.provenance import differences
from agecompact.bench import store
from agecompact.contract import Contract
from agecompact.errors import AgecompactError, UsageError
from agecompact.files import size_of
from agecompact.runtimes.reading import Reader
from export import signing

# What later stages write into the folder of a single build.
_LATER = frozenset(
    {golden.FOLDER, "parity.json", "parity.xml", store.FILE_NAME, preprocessing.FILE_NAME}
    | {signing.SIGNATURE}
)


def check(folder: Path, reader: Reader) -> list[str]:
    """Lists the faults of a build, one line each; empty if it is intact.

    Compares with the manifest the hash and the metadata of every file, the golden pack, and what is
    in the folder.

    Args:
        folder: The build's folder.
        reader: Reads its files.
    """
    try:
        build = manifest.read(folder)
    except UsageError as error:
        return [error.summary]
    return [
        *_weights_faults(build, reader),
        *(fault for entry in build.manifest.artifacts for fault in _faults(build, entry, reader)),
        *_golden_faults(build),
        *_folder_faults(build),
    ]


def _weights_faults(build: Build, reader: Reader) -> Iterator[str]:
    made, path = build.manifest, build.weights
    try:
        yield from _hash_faults(path, made.weights_sha256)
        described = reader.metadata(path)
    except AgecompactError as error:
        yield error.summary
        return
    if described.model != made.model:
        yield f"{path} is of model '{described.model}'"
    if described.contract != made.contract:
        yield f"{path} has another contract than {manifest.FILE_NAME}"


def _faults(build: Build, entry: Entry, reader: Reader) -> Iterator[str]:
    made, path = build.manifest, build.path(entry)
    try:
        yield from _hash_faults(path, entry.sha256)
        described = reader.metadata(path)
    except AgecompactError as error:
        yield error.summary
        return
    for difference in differences(described, made, entry):
        yield f"{path}: {difference}"
    if described.contract != _converted(made.contract, described.contract):
        yield f"{path} has another contract than {manifest.FILE_NAME}"
    if size_of(path) != entry.bytes:
        yield f"{path} has {size_of(path)} bytes, not {entry.bytes}"


def _hash_faults(path: Path, sha256: str) -> Iterator[str]:
    if confined.sha256_of(path) != sha256:
        yield f"{path} has changed since the export: its sha256 differs"


def _converted(source: Contract, found: Contract) -> Contract:
    """The contract that a converter makes of the weights', in the layout and dtype of `found`."""
    if found.dtype == source.dtype:
        return replace(source, layout=found.layout)
    return source.of_images()


def _golden_faults(build: Build) -> Iterator[str]:
    folder = build.folder / golden.FOLDER
    if not folder.exists():
        return
    try:
        pack = golden.read(folder)
    except AgecompactError as error:
        yield error.summary
        return
    if (pack.model, pack.weights_sha256) != (build.manifest.model, build.manifest.weights_sha256):
        yield f"{folder} is the golden pack of other weights"
    yield from _undeclared(folder, golden.files(folder))


def _folder_faults(build: Build) -> Iterator[str]:
    made = build.manifest
    if not made.artifacts:
        yield f"{build.folder} has no artefact"
    declared = {manifest.FILE_NAME, made.weights, *(entry.file for entry in made.artifacts)}
    yield from _undeclared(build.folder, declared | _LATER)


def _undeclared(folder: Path, declared: frozenset[str] | set[str]) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name not in declared:
            yield f"{path} is not part of the build"
