"""PyTorch, eager, float32 on the CPU: the reference that artefacts are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agecompact import checkpoints
from agecompact.contract import Contract
from agecompact.metadata import ArtifactMetadata
from agecompact.models import complexity
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Trace


class _Session:
    def __init__(self, network: nn.Module, contract: Contract) -> None:
        self._network = network
        self._contract = contract

    def _bind(self, inputs: Arrays) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(np.asarray(inputs[n])) for n in self._contract.input_names)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        with torch.inference_mode():
            return {self._contract.output.name: self._network(*self._bind(inputs)).numpy()}

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        bound = self._bind(inputs)

        def run() -> None:
            with torch.inference_mode():
                self._network(*bound)

        return run

    def trace(self, inputs: Arrays) -> Trace:
        names = self._contract.input_names
        return pytorch_trace.trace(self._network, dict(zip(names, self._bind(inputs), strict=True)))

    def interface(self) -> Interface:
        contract = self._contract
        shape = (None, *contract.input_shape[1:])
        return Interface(
            {name: Port(shape, contract.dtype) for name in contract.input_names},
            {contract.output.name: Port((None, 1), "float32")},
        )

    def fixed_batch(self) -> int | None:
        return None

    def placement(self) -> Placement | None:
        return None


def read_metadata(path: str) -> str | None:
    """A weights file's header, put as an artefact's metadata."""
    weights = checkpoints.read(Path(path))
    return ArtifactMetadata(
        model=weights.model_id,
        precision="float32",
        contract=weights.contract,
        weights_sha256=weights.sha256,
        source="",
        terms="",
        versions={"torch": torch.__version__},
    ).to_json()


def describe(path: str) -> dict[str, Any]:
    """The layout's configuration, and what the network counts."""
    weights = checkpoints.read(Path(path))
    measured = complexity.measure(weights.network(), weights.contract)
    return {"config": dict(weights.config), "tensors": len(weights.state), **asdict(measured)}


def open_session(path: str, threads: int) -> _Session:
    """The network of a weights file, in evaluation mode, NCHW."""
    torch.set_num_threads(threads)
    weights = checkpoints.read(Path(path))
    return _Session(weights.network(), weights.contract)


def version() -> str:
    """Version of PyTorch."""
    return f"torch {torch.__version__}"
