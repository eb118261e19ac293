"""`manifest.json`: the artefacts of a build, their hashes, and the weights they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.serialization import read_versioned, write_versioned

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One artefact of a build.

    Attributes:
        file: Its name in the build folder.
        format: Name of its format, such as `onnx`.
        precision: Name of its precision, such as `float16`.
        sha256: Hash of the file; for a package, the hash of its sorted file hashes.
        bytes: Size; for a package, the sum over its files.
        converter: The tool that made it.
        versions: Versions of the tools that made it.
        opset: ONNX opset, or Core ML's specification version; None for TFLite.
        batch: How many images each call takes; None for any number.
        conversion_s: Wall time of the converter for all precisions of the format together.
    """

    file: str
    format: str
    precision: str
    sha256: str
    bytes: int
    converter: str
    versions: Mapping[str, str]
    opset: int | None
    batch: int | None
    conversion_s: float


@dataclass(frozen=True)
class NotMade:
    """A requested artefact whose conversion failed in an export with `--keep-going`.

    Attributes:
        file: The name that it would have had.
        format: As in `Entry`.
        precision: As in `Entry`.
        reason: The converter's error.
    """

    file: str
    format: str
    precision: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """A build of one model.

    Attributes:
        model: Registered id.
        weights: Name of the build's copy of the source weights file.
        weights_sha256: Hash of the weights file.
        source: Paper or code that the model follows.
        terms: Terms of the weights, from their card; empty if the card has none.
        contract: Contract of the weights, in PyTorch's layout.
        parameters: Number of trainable parameters.
        folded_parameters: Number of parameters after BN folding, as artefacts store them.
        macs: Multiply-accumulate operations for one face.
        artifacts: The artefacts, in the order of `formats.TARGETS`.
        not_made: Artefacts whose conversion failed.
    """

    SCHEMA_VERSION: ClassVar[int] = 3

    model: str
    weights: str
    weights_sha256: str
    source: str
    terms: str
    contract: Contract
    parameters: int
    folded_parameters: int
    macs: int
    artifacts: tuple[Entry, ...]
    not_made: tuple[NotMade, ...] = ()


@dataclass(frozen=True)
class Build:
    """A build folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def weights(self) -> Path:
        """The build's copy of the source weights."""
        return self.folder / self.manifest.weights

    def path(self, entry: Entry) -> Path:
        """Path of an artefact."""
        return self.folder / entry.file


def write(folder: Path, manifest: Manifest) -> None:
    """Writes a build's manifest, atomically."""
    write_versioned(folder / FILE_NAME, manifest)


def read_builds(root: Path) -> tuple[Build, ...]:
    """Reads the build in a folder, or else the builds in its subfolders.

    Raises:
        UsageError: No build was found, or a manifest cannot be read.
    """
    own = root / FILE_NAME
    paths = [own] if own.is_file() else sorted(root.glob(f"*/{FILE_NAME}"))
    if not paths:
        raise UsageError(
            f"no build in {root}",
            why=f"neither it nor a subfolder contains {FILE_NAME}",
            fix="agecompact export --all",
        )
    fix = "export the model again: agecompact export"
    return tuple(
        Build(path.parent, read_versioned(path, Manifest, what="manifest", fix=fix))
        for path in paths
    )
