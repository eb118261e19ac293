"""PyTorch, eager, on the CPU, in float32; or in float64, the reference for all artefacts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.models import complexity
from agecompact.models.returned import by_name
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Interface,
    Port,
    Session,
    Trace,
    Weights,
)
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
            returned = self._network(*self._bind(inputs).values())
        outputs = by_name(returned, self._contract)
        return {name: output.float().numpy() for name, output in outputs.items()}

    def differentiate(
        self, inputs: Arrays, weights: Weights
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Computes in float32 whatever the dtype: float64 takes three times as long."""
        tensors = [value.float().requires_grad_() for value in self._bind(inputs).values()]
        outputs = by_name(self._single(*tensors), self._contract)
        total = sum(
            (outputs[name].float() @ torch.tensor(values)).sum() for name, values in weights.items()
        )
        if isinstance(total, torch.Tensor) and total.requires_grad:
            gradients = torch.autograd.grad(
                total, tensors, allow_unused=True, materialize_grads=True
            )
        else:
            # The network ends with an op that cannot be differentiated, such as argmax.
            gradients = tuple(torch.zeros_like(tensor) for tensor in tensors)
        by_input = zip(self._contract.input_names, gradients, strict=True)
        return (
            {name: output.detach().numpy() for name, output in outputs.items()},
            {name: gradient.numpy() for name, gradient in by_input},
        )

    @cached_property
    def _single(self) -> nn.Module:
        """The network in float32, with constant weights, so that only inputs have gradients."""
        return copy.deepcopy(self._network).float().requires_grad_(False)

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return torch.inference_mode()(partial(self._network, *self._bind(inputs).values()))

    def trace(self, inputs: Arrays) -> Trace:
        return pytorch_trace.trace(self._network, self._bind(inputs))

    def interface(self) -> Interface:
        contract = self._contract
        shape = (None, *contract.input_shape[1:])
        return Interface(
            {name: Port(shape, contract.dtype) for name in contract.input_names},
            {o.name: Port((None, o.size), "float32") for o in contract.outputs},
        )


@dataclass(frozen=True)
class _PyTorch(Backend):
    """PyTorch, in evaluation mode. The metadata is the header of the weights. Inputs are NCHW.

    Attributes:
        dtype: Of the arithmetic.
    """

    dtype: torch.dtype

    def read_metadata(self, path: str) -> str | None:
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

    def describe(self, path: str) -> dict[str, Any]:
        weights = checkpoints.read(Path(path))
        measured = complexity.measure(weights.network(), weights.contract)
        return {"config": dict(weights.config), "tensors": len(weights.state), **asdict(measured)}

    def open_session(self, path: str, threads: int) -> Session:
        torch.set_num_threads(threads)
        weights = checkpoints.read(Path(path))
        return _Session(weights.network(), weights.contract, self.dtype)

    def version(self) -> str:
        return f"torch {torch.__version__}"


FLOAT32 = _PyTorch(torch.float32)
# Outputs are rounded once, to float32. In float32 arithmetic, PyTorch itself is up to 1e-4 years
# off on an image of a single colour: as much as the artefacts that are compared with it.
FLOAT64 = _PyTorch(torch.float64)
