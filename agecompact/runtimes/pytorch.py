"""PyTorch, eager, on the CPU, in float32; or in float64, the reference for all artefacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.models import complexity
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Interface, Port, Session, Trace
from agecompact.weights import checkpoints


class _Session(Session):
    def __init__(self, network: nn.Module, contract: Contract, dtype: torch.dtype) -> None:
        self._network = network.to(dtype)
        self._contract = contract
        self._dtype = dtype

    def _bind(self, inputs: Arrays) -> dict[str, torch.Tensor]:
        names = self._contract.input_names
        return {n: torch.from_numpy(np.asarray(inputs[n])).to(self._dtype) for n in names}

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        with torch.inference_mode():
            output = self._network(*self._bind(inputs).values()).float()
        return {self._contract.output.name: output.numpy()}

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return torch.inference_mode()(partial(self._network, *self._bind(inputs).values()))

    def trace(self, inputs: Arrays) -> Trace:
        return pytorch_trace.trace(self._network, self._bind(inputs))

    def interface(self) -> Interface:
        contract = self._contract
        shape = (None, *contract.input_shape[1:])
        return Interface(
            {name: Port(shape, contract.dtype) for name in contract.input_names},
            {contract.output.name: Port((None, 1), "float32")},
        )


def read_metadata(path: str) -> str | None:
    """The header of a weights file, in the form of an artefact's metadata."""
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
    """Configuration, number of tensors, and complexity of the network."""
    weights = checkpoints.read(Path(path))
    measured = complexity.measure(weights.network(), weights.contract)
    return {"config": dict(weights.config), "tensors": len(weights.state), **asdict(measured)}


def open_session(path: str, threads: int) -> Session:
    """Loads the network of a weights file, in evaluation mode; inputs are NCHW."""
    return _open(path, threads, torch.float32)


def _open(path: str, threads: int, dtype: torch.dtype) -> Session:
    torch.set_num_threads(threads)
    weights = checkpoints.read(Path(path))
    return _Session(weights.network(), weights.contract, dtype)


def version() -> str:
    """Version of PyTorch."""
    return f"torch {torch.__version__}"


class _Float64:
    """This backend in float64 arithmetic; its outputs are rounded once, to float32.

    In float32, PyTorch itself is up to 1e-4 years off on an image of a single colour: as much as
    the artefacts that are compared with it.
    """

    read_metadata = staticmethod(read_metadata)
    describe = staticmethod(describe)
    version = staticmethod(version)

    def open_session(self, path: str, threads: int) -> Session:
        return _open(path, threads, torch.float64)


FLOAT64 = _Float64()
