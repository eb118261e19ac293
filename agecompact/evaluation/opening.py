"""Opens a weights file or an exported file as a model that predicts, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.evaluation.prediction import Model, NetworkModel, open_artifact
from agecompact.files import sha256_of
from agecompact.formats import format_of
from agecompact.runtimes.reading import read_metadata
from agecompact.weights import cards, checkpoints


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to run.

    Attributes:
        model: Runs it.
        metadata: What its file says about it.
        is_weights: Whether it is a weights file.
        sha256: Hash of its file.
        runtime: What runs it, with its version.
        card: The card of its weights; empty if there is none.
    """

    model: Model[Any]
    metadata: ArtifactMetadata
    is_weights: bool
    sha256: str
    runtime: str
    card: Mapping[str, Any]

    @property
    def contract(self) -> Contract:
        """Its preprocessing contract."""
        return self.metadata.contract


@contextmanager
def open_model(path: Path, threads: int) -> Iterator[OpenModel]:
    """Opens weights in this process, or an exported file in its own, which ends with the block.

    Raises:
        BackendMissingError: Its runtime is not installed, or does not exist on this platform.
        UsageError: The file cannot be read, or its runtime rejects it, fails on it or times out.
    """
    metadata = read_metadata(path)
    sha256 = sha256_of(path)
    if format_of(path).converter is None:
        import torch

        torch.set_num_threads(threads)
        weights = checkpoints.read(path)
        model = NetworkModel(weights.network(), metadata.contract)
        runtime = f"torch {torch.__version__}"
        yield OpenModel(model, metadata, True, sha256, runtime, weights.card)
        return
    card = cards.released(metadata.weights_sha256, metadata.model)
    with open_artifact(path, threads) as (artifact, opened):
        yield OpenModel(artifact, metadata, False, sha256, opened.version, card)
