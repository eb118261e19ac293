"""The messages between the pipeline and a converter's process, and what converters share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from agecompact import __version__
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.formats import Target
from agecompact.models import registry
from agecompact.weights.checkpoints import Weights

InputKind = Literal["tensor", "image"]


@dataclass(frozen=True)
class Job:
    """Input of a converter.

    Attributes:
        weights: The weights file.
        precisions: Names of the precisions to make.
        folder: An empty folder for the artefacts.
        source: The artefact to convert; None for the PyTorch network itself.
        dynamic_batch: Leave the batch axis of an ONNX file open (1 to 64).
        input_kind: `image` gives a Core ML package image inputs, normalised inside the graph.
    """

    weights: Path
    precisions: tuple[str, ...]
    folder: Path
    source: Path | None = None
    dynamic_batch: bool = False
    input_kind: InputKind = "tensor"


@dataclass(frozen=True)
class Artifact:
    """A file, or package folder, that a converter made.

    Attributes:
        file: Its name, in the job's folder.
        format: Name of its format.
        precision: Name of its precision.
        converter: The tool that made it.
        versions: Versions of the tools that affect its content, by distribution name.
        opset: ONNX opset, as read back from the file; None for other formats.
    """

    file: str
    format: str
    precision: str
    converter: str
    versions: Mapping[str, str]
    opset: int | None = None


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
        artifacts: What it made.
        error: Why it failed; None if it succeeded.
    """

    artifacts: tuple[Artifact, ...] = ()
    error: Refusal | None = None


def metadata_for(
    weights: Weights, target: Target, tools: Sequence[str], **changes: Any
) -> ArtifactMetadata:
    """The metadata of an artefact.

    Args:
        weights: The weights that it is converted from.
        target: Its format and precision.
        tools: The distributions that make it, whose versions it states.
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
        versions={"agecompact": __version__, **{name: version(name) for name in tools}},
    )
