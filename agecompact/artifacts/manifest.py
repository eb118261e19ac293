"""`manifest.json`: the artefacts of a build, their hashes, and the weights they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agecompact.artifacts.confined import FileName, regular
from agecompact.checked import AtLeastOne, Checked, Count, NotNegative, Sha256, Text
from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.formats import EXPORTED
from agecompact.scratch import sweep
from agecompact.serialization import read_versioned, write_versioned

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class CalibrationSet(Checked):
    """What a precision was calibrated with.

    Attributes:
        faces: Number of faces.
        faces_sha256: Hash of the pixels of their chips.
        qat_epochs: Passes over them in quantisation-aware training; 0 for none.
    """

    faces: AtLeastOne
    faces_sha256: Sha256
    qat_epochs: Count = 0


@dataclass(frozen=True)
class _Requested(Checked):
    file: FileName
    format: Text
    precision: Text

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in EXPORTED:
            self.refuse(f"unknown format '{self.format}'", f"known: {', '.join(EXPORTED)}")
        known = EXPORTED[self.format]
        if self.precision not in known.offered:
            precisions = ", ".join(known.offered)
            self.refuse(f"unknown precision '{self.precision}'", f"{known.name} has {precisions}")
        if not self.file.endswith(known.suffix):
            self.refuse(f"'{self.file}' is not a name for {known.name}", f"known: *{known.suffix}")


@dataclass(frozen=True)
class Entry(_Requested):
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
        calibration: What it was calibrated with; None if its precision needs no faces.
    """

    sha256: Sha256
    bytes: Count
    converter: Text
    versions: Mapping[str, str]
    opset: AtLeastOne | None
    batch: AtLeastOne | None
    conversion_s: NotNegative
    calibration: CalibrationSet | None = None


@dataclass(frozen=True)
class NotMade(_Requested):
    """A requested artefact whose conversion failed in an export with `--keep-going`.

    Attributes:
        file: The name that it would have had.
        format: As in `Entry`.
        precision: As in `Entry`.
        reason: The converter's error.
    """

    reason: str


@dataclass(frozen=True)
class Manifest(Checked):
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
        artifacts: The artefacts, in the order of `formats.OFFERED`.
        not_made: Artefacts whose conversion failed.
    """

    SCHEMA_VERSION: ClassVar[int] = 3

    model: FileName
    weights: FileName
    weights_sha256: Sha256
    source: str
    terms: str
    contract: Contract
    parameters: Count
    folded_parameters: AtLeastOne
    macs: Count
    artifacts: tuple[Entry, ...]
    not_made: tuple[NotMade, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [FILE_NAME, self.weights, *(e.file for e in (*self.artifacts, *self.not_made))]
        if twice := {name for name in names if names.count(name) > 1}:
            self.refuse(f"several files are named {', '.join(sorted(twice))}")


@dataclass(frozen=True)
class Build:
    """A build folder and its manifest.

    The manifest's names are inside the folder. Whether they are regular files is for those to check
    who read them: see `confined`.
    """

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


def build_folders(root: Path) -> tuple[Path, ...]:
    """The folder itself if it is a build, or else its subfolders that are.

    First removes what dead processes have left there.

    Raises:
        UsageError: No build was found.
    """
    sweep(root)
    own = root / FILE_NAME
    paths = [own] if own.is_file() else sorted(root.glob(f"*/{FILE_NAME}"))
    if not paths:
        raise UsageError(
            f"no build in {root}",
            why=f"neither it nor a subfolder contains {FILE_NAME}",
            fix="agecompact export --all",
        )
    for path in paths:
        sweep(path.parent)
    return tuple(path.parent for path in paths)


def read(folder: Path) -> Build:
    """Reads the build in a folder.

    Raises:
        UsageError: The manifest cannot be read, or names a path.
    """
    fix = "export the model again: agecompact export"
    path = regular(folder / FILE_NAME)
    return Build(folder, read_versioned(path, Manifest, what="manifest", fix=fix))


def read_builds(root: Path) -> tuple[Build, ...]:
    """Reads all builds of `build_folders`.

    Raises:
        UsageError: No build was found, or a manifest cannot be read or names a path.
    """
    return tuple(map(read, build_folders(root)))
