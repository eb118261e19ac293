"""What passes between the pipeline and a converter's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from agecompact import __version__
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.models import registry
from agecompact.weights.checkpoints import Weights
from export.targets import Format, Precision, Target

InputKind = Literal["tensor", "image"]


@dataclass(frozen=True)
class Job:
    """One converter's work.

    Attributes:
        weights: The weights file.
        precisions: Precisions to make.
        folder: An empty folder for the artefacts.
        source: The artefact of the stage that this one needs, or None.
        dynamic_batch: Leave the batch axis of an ONNX file open (1 to 64).
        input_kind: `image` gives a Core ML package image inputs, which normalise inside the graph.
    """

    weights: Path
    precisions: tuple[Precision, ...]
    folder: Path
    source: Path | None = None
    dynamic_batch: bool = False
    input_kind: InputKind = "tensor"

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return {
            "weights": str(self.weights),
            "precisions": list(self.precisions),
            "folder": str(self.folder),
            "source": str(self.source) if self.source else None,
            "dynamic_batch": self.dynamic_batch,
            "input_kind": self.input_kind,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """Reads what `to_json` made."""
        return cls(
            weights=Path(value["weights"]),
            precisions=tuple(value["precisions"]),
            folder=Path(value["folder"]),
            source=Path(value["source"]) if value["source"] else None,
            dynamic_batch=value["dynamic_batch"],
            input_kind=value["input_kind"],
        )


@dataclass(frozen=True)
class Artifact:
    """One file, or package folder, that a converter made.

    Attributes:
        file: Its name, in the job's folder.
        format: Its format.
        precision: Of its weights.
        converter: The tool that made it.
        versions: Versions of the tools that matter to its content, by distribution name.
        opset: ONNX opset, as read back from the file; None for other formats.
    """

    file: str
    format: Format
    precision: Precision
    converter: str
    versions: Mapping[str, str]
    opset: int | None = None


def versions_of(*distributions: str) -> dict[str, str]:
    """Versions of installed distributions and of agecompact itself, by name."""
    return {"agecompact": __version__, **{name: version(name) for name in distributions}}


def metadata_for(
    weights: Weights, target: Target, versions: Mapping[str, str], **changes: Any
) -> ArtifactMetadata:
    """The self-description of an artefact.

    Args:
        weights: What it is converted from.
        target: What it is.
        versions: Tools that made it.
        **changes: Fields of the contract that differ from PyTorch's, such as `layout`.
    """
    contract: Contract = replace(weights.contract, **changes)
    return ArtifactMetadata(
        model=weights.model_id,
        precision=target.precision,
        contract=contract,
        weights_sha256=weights.sha256,
        source=registry.get(weights.model_id).source,
        terms=weights.terms,
        versions=dict(versions),
    )
