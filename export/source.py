"""What is converted: PyTorch's weights, or an ONNX file in their place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts import onnx_source
from agecompact.contract import Contract
from agecompact.errors import ConversionError
from agecompact.files import sha256_of
from agecompact.runtimes.reading import read_metadata
from agecompact.weights import checkpoints


@dataclass(frozen=True)
class Source:
    """A network to convert.

    Attributes:
        path: Its file.
        model_id: Id of the model.
        contract: Contract of the network, NCHW.
        sha256: Hash of the file.
        terms: Terms of the weights; empty if they are not known.
    """

    path: Path
    model_id: str
    contract: Contract
    sha256: str
    terms: str

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file, not PyTorch's weights."""
        return self.path.suffix == onnx_source.SUFFIX


@dataclass(frozen=True)
class Counts:
    """A network's counts, as the manifest has them."""

    parameters: int
    folded_parameters: int
    macs: int


def of_weights(weights: checkpoints.Weights) -> Source:
    """The source that weights are, once read."""
    return Source(weights.path, weights.model_id, weights.contract, weights.sha256, weights.terms)


def of_onnx(path: Path) -> Source:
    """The source that an ONNX file in the place of weights is.

    Raises:
        UsageError: It cannot be read.
    """
    described = read_metadata(path)
    return Source(path, described.model, described.contract, sha256_of(path), described.terms)


def read(path: Path) -> Source:
    """Reads what a file says of its network.

    Raises:
        UsageError: It cannot be read.
    """
    if path.suffix == onnx_source.SUFFIX:
        return of_onnx(path)
    return of_weights(checkpoints.read(path))


def measured(path: Path) -> tuple[Source, Counts]:
    """Reads a network and counts it.

    Raises:
        UsageError: It cannot be read or built, or the weights are not its own.
    """
    if path.suffix == onnx_source.SUFFIX:
        found = onnx_source.counts(path)
        return of_onnx(path), Counts(found.parameters, found.parameters, found.macs)
    # Imports torch; a misspelt format is reported without waiting for it.
    from agecompact.models import complexity

    weights = checkpoints.read(path)
    counts = complexity.measure(weights.network(), weights.contract)
    return of_weights(weights), Counts(counts.parameters, counts.folded_parameters, counts.macs)


def copied(source: Source, folder: Path) -> Path:
    """Copies a source into a folder, with its card; the artefacts' terms come from that."""
    copy = folder / f"{source.model_id}{source.path.suffix}"
    shutil.copyfile(source.path, copy)
    card = checkpoints.card_path(source.path)
    if not source.is_onnx and card.is_file():
        shutil.copyfile(card, checkpoints.card_path(copy))
    return copy


def require_network(weights: Path, made: str, format_: str) -> None:
    """Refuses an ONNX file where a converter needs a PyTorch network.

    Args:
        weights: The source.
        made: What the converter makes, in the plural.
        format_: The format, for people.

    Raises:
        ConversionError: The source is an ONNX file.
    """
    if weights.suffix == onnx_source.SUFFIX:
        raise ConversionError(
            f"{made} are made of PyTorch networks, and this one is an ONNX file",
            fix=f"leave {format_} out: --format onnx --format tflite",
        )
