"""PyTorch, eager, on the CPU: float32, or float64 as the reference that artefacts are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.models import complexity
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Trace
from agecompact.weights import checkpoints


class _Session:
    def __init__(self, network: nn.Module, contract: Contract, dtype: torch.dtype) -> None:
        self._network = network.to(dtype)
        self._contract = contract
        self._dtype = dtype

    def _bind(self, inputs: Arrays) -> tuple[torch.Tensor, ...]:
        given = (torch.from_numpy(np.asarray(inputs[n])) for n in self._contract.input_names)
        return tuple(tensor.to(self._dtype) for tensor in given)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        with torch.inference_mode():
            answers = self._network(*self._bind(inputs)).float()
        return {self._contract.output.name: answers.numpy()}

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
    return _open(path, threads, torch.float32)


def _open(path: str, threads: int, dtype: torch.dtype) -> _Session:
    torch.set_num_threads(threads)
    weights = checkpoints.read(Path(path))
    return _Session(weights.network(), weights.contract, dtype)


def version() -> str:
    """Version of PyTorch."""
    return f"torch {torch.__version__}"


class _Float64:
    """This backend with float64 arithmetic: an answer is the float32 nearest to the exact one.

    Float32 itself is up to 1e-4 years off on a picture of one colour, as far as the artefacts that
    are held to it.
    """

    read_metadata = staticmethod(read_metadata)
    describe = staticmethod(describe)
    version = staticmethod(version)

    def open_session(self, path: str, threads: int) -> _Session:
        return _open(path, threads, torch.float64)


FLOAT64 = _Float64()
