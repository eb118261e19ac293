"""Measures how much rounding alone changes every tensor of a PyTorch network.

An error of 1e-3 is large after one convolution and nothing after sixty, or where a network
subtracts what it has just added. So the network runs again with its weights and every result
changed at random by as much as a precision rounds them (Monte Carlo arithmetic; Parker, 1997). The
change of each tensor is the error of a correct conversion, amplification included.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agecompact.formats import PRECISIONS
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Trace
from agecompact.weights import checkpoints
from parity_tests.localisation.graph import rms, with_inputs

_RUNS = 4


@dataclass(frozen=True)
class ReferenceRun:
    """A PyTorch network's traces, and what else it reveals about an error.

    Attributes:
        traces: Its traces in float32, one per sample, inputs first.
        rounding: RMS change that rounding causes, over all samples and in the tensor's unit, by
            the name of a step's output.
        state: Its weights and statistics by name, float32.
    """

    traces: tuple[Trace, ...]
    rounding: Mapping[str, float]
    state: Mapping[str, Array]


def run_reference(weights: Path, samples: Sequence[Arrays], precision: str) -> ReferenceRun:
    """Runs a network in this process, once exactly and several times with simulated rounding.

    Args:
        weights: A weights file of this package.
        samples: Inputs by name, NCHW float32, one batch each.
        precision: The candidate's, a key of `agecompact.formats.PRECISIONS`.

    Raises:
        UsageError: The weights cannot be read.
    """
    network = checkpoints.read(weights).network()
    unit = PRECISIONS[precision].rounding_unit
    traces = tuple(_trace(network, sample) for sample in samples)
    squares: dict[str, list[float]] = {}
    for run in range(_RUNS):
        generator = torch.Generator().manual_seed(run)
        changed = _with_changed_weights(network, unit, generator)
        for sample, exact in zip(samples, traces, strict=True):
            rounded = _trace(changed, sample, partial(_change, unit=unit, generator=generator))
            for right, wrong in zip(exact, rounded, strict=True):
                error = rms(np.subtract(wrong.value, right.value, dtype=np.float64))
                squares.setdefault(right.output, []).append(error**2)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return ReferenceRun(traces, {n: float(np.mean(s)) ** 0.5 for n, s in squares.items()}, state)


def _trace(
    network: nn.Module, sample: Arrays, change: pytorch_trace.Change = lambda value: value
) -> Trace:
    inputs = {n: torch.from_numpy(np.ascontiguousarray(value)) for n, value in sample.items()}
    return with_inputs(pytorch_trace.trace(network, inputs, change), sample)


def _with_changed_weights(network: nn.Module, unit: float, generator: torch.Generator) -> nn.Module:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.copy_(_change(weight, unit, generator))
    return changed


def _change(value: Tensor, unit: float, generator: torch.Generator) -> Tensor:
    noise = torch.empty_like(value).uniform_(-unit, unit, generator=generator)
    return value + value * noise
