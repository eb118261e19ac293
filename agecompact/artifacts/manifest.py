"""`manifest.json`: what a build holds, what it was made from, how to tell that it is intact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import canonical_json, pretty_json, read_json, write_text

SCHEMA_VERSION = 2
FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One artefact of a build.

    Attributes:
        file: Its name in the build folder.
        format: `onnx`, `tflite` or `coreml`.
        precision: `float32` or `float16`.
        sha256: Hash of the file; of a package, the hash of its sorted file hashes.
        bytes: Size, of a package the sum over its files.
        converter: The tool that made it.
        versions: Versions of the tools that made it.
        opset: ONNX opset, or None.
        conversion_s: Wall time of its converter, which makes all precisions of a format at once.
    """

    file: str
    format: str
    precision: str
    sha256: str
    bytes: int
    converter: str
    versions: Mapping[str, str]
    opset: int | None
    conversion_s: float


@dataclass(frozen=True)
class NotMade:
    """An artefact that was asked for and whose conversion failed, in an export that went on.

    Attributes:
        file: The name that it would have.
        format: As in `Entry`.
        precision: As in `Entry`.
        reason: What the converter said.
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
        weights: Name of the source weights file, which the build holds a copy of.
        weights_sha256: Its hash.
        contract: Its contract, in PyTorch's layout.
        parameters: Trainable parameters.
        folded_parameters: Parameters with BN folded, which is what artefacts store.
        macs: Multiply-accumulates for one face.
        artifacts: The artefacts, in the order of the target registry.
        not_made: Artefacts whose conversion failed.
    """

    model: str
    weights: str
    weights_sha256: str
    contract: Contract
    parameters: int
    folded_parameters: int
    macs: int
    artifacts: tuple[Entry, ...]
    not_made: tuple[NotMade, ...] = ()

    def to_json(self) -> str:
        """JSON for the file."""
        fields = asdict(self)
        fields["contract"] = json.loads(self.contract.to_json())
        return pretty_json({"schema_version": SCHEMA_VERSION, **fields})

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Manifest:
        """Reads what `to_json` wrote.

        Raises:
            UsageError: Another schema version, or a field missing or unknown.
        """
        version = value.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"the manifest has schema version {version!r}",
                why=f"this agecompact reads version {SCHEMA_VERSION}",
                fix="export again",
            )
        try:
            contract = Contract.from_json(canonical_json(value.pop("contract")))
            artifacts = tuple(Entry(**entry) for entry in value.pop("artifacts"))
            not_made = tuple(NotMade(**entry) for entry in value.pop("not_made"))
            return cls(contract=contract, artifacts=artifacts, not_made=not_made, **value)
        except (KeyError, TypeError) as error:
            raise UsageError("the manifest cannot be read", why=str(error)) from None


@dataclass(frozen=True)
class Build:
    """A manifest and the folder it stands in."""

    folder: Path
    manifest: Manifest

    @property
    def weights(self) -> Path:
        """The build's copy of the source weights."""
        return self.folder / self.manifest.weights

    def path(self, entry: Entry) -> Path:
        """Where an artefact lies."""
        return self.folder / entry.file


def write(folder: Path, manifest: Manifest) -> None:
    """Writes a build's manifest, whole or not at all."""
    write_text(folder / FILE_NAME, manifest.to_json())


def read_builds(root: Path) -> tuple[Build, ...]:
    """The builds under a folder, or the build that the folder is.

    Raises:
        UsageError: There is none, or a manifest cannot be read.
    """
    places = [root / FILE_NAME] if (root / FILE_NAME).is_file() else []
    places = places or sorted(root.glob(f"*/{FILE_NAME}"))
    if not places:
        raise UsageError(
            f"no build in {root}",
            why=f"neither it nor a folder in it holds a {FILE_NAME}",
            fix="agecompact export --all",
        )
    return tuple(
        Build(place.parent, Manifest.from_json(read_json(place, what="manifest")))
        for place in places
    )
