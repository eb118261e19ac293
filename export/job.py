"""The messages between the pipeline and a converter's process, and what converters share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from agecompact import __version__
from agecompact.artifacts.manifest import CalibrationSet
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.formats import Target
from agecompact.models import registry
from export.source import Source

InputKind = Literal["tensor", "image"]


@dataclass(frozen=True)
class Job:
    """Input of a converter.

    Attributes:
        weights: The weights file.
        precisions: Names of the precisions to make.
        folder: An empty folder for the artefacts, named by `formats.Target.file_name`.
        source: The artefact to convert; None for the PyTorch network itself.
        dynamic_batch: Leave the batch axis of an ONNX file open (1 to 64).
        input_kind: `image` gives TFLite files and Core ML packages inputs that are pictures, and
            graphs that normalise them.
        calibration: Folder of face chips, or calibration file, that int8 is made with; None for
            the released calibration, or if no int8 is wanted.
        without: Names of `passes.registry.PASSES` that TFLite files are made without.
        shared: A folder for what a converter of the same export may use again; None for none.
    """

    weights: Path
    precisions: tuple[str, ...]
    folder: Path
    source: Path | None = None
    dynamic_batch: bool = False
    input_kind: InputKind = "tensor"
    calibration: Path | None = None
    without: tuple[str, ...] = ()
    shared: Path | None = None


@dataclass(frozen=True)
class Conversion:
    """How a converter made the artefacts in the job's folder.

    Attributes:
        converter: The tool that made them.
        versions: Versions of the tools that affect their content, by distribution name.
        opset: ONNX opset, or Core ML's specification version, as read back from the file; None for
            TFLite.
        opsets: Those of precisions that need another one.
        batch: How many images each call takes; None for any number.
        notes: What people should know of how it was done.
        calibration: What precisions that need faces were calibrated with; None if none was made.
    """

    converter: str
    versions: Mapping[str, str]
    opset: int | None = None
    batch: int | None = 1
    notes: tuple[str, ...] = ()
    calibration: CalibrationSet | None = None
    opsets: Mapping[str, int] = field(default_factory=dict)

    def opset_of(self, precision: str) -> int | None:
        """The opset of the file of a precision."""
        return self.opsets.get(precision, self.opset)


@dataclass(frozen=True)
class Refusal:
    """An `AgecompactError` of a converter, with its exit code, summary and fix."""

    exit_code: int
    why: str
    fix: str


@dataclass(frozen=True)
class Reply:
    """Output of a converter's process.

    Attributes:
        conversion: How it made the artefacts; None if it failed.
        error: Why it failed; None if it succeeded.
    """

    conversion: Conversion | None = None
    error: Refusal | None = None


def versions_of(*distributions: str) -> dict[str, str]:
    """Versions of agecompact and of other installed distributions, by name."""
    return {"agecompact": __version__, **{name: version(name) for name in distributions}}


def metadata_for(
    weights: Source, target: Target, versions: Mapping[str, str], **changes: Any
) -> ArtifactMetadata:
    """The metadata of an artefact.

    Args:
        weights: What it is converted from.
        target: Its format and precision.
        versions: Versions of the tools that made it.
        **changes: Fields of the contract that differ from PyTorch's, such as `layout`.
    """
    contract: Contract = replace(weights.contract, **changes)
    return ArtifactMetadata(
        model=weights.model_id,
        precision=target.precision.name,
        contract=contract,
        weights_sha256=weights.sha256,
        source=registry.get(weights.model_id).source,
        terms=weights.terms,
        versions=versions,
    )
