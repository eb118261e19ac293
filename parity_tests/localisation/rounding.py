"""How far rounding alone moves every tensor of a PyTorch network: what an error is measured by.

An error of 1e-3 is much after one convolution and nothing after sixty, or where a network subtracts
what it has just added. So the network is run again with its weights and every result moved at
random by as much as a precision rounds them (Monte Carlo arithmetic; Parker, 1997). How far each
tensor then strays is how far a right conversion may stray, amplification included.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Trace
from agecompact.weights import checkpoints
from parity_tests.localisation.graph import rms, with_inputs

# The largest relative error of one rounding: half of the last place.
UNITS: Mapping[str, float] = {"float32": 2.0**-24, "float16": 2.0**-11}
_RUNS = 4


@dataclass(frozen=True)
class Evidence:
    """What a network itself can tell of an error, beside its trace.

    Attributes:
        traces: The network's own traces, float32, a sample each, inputs first.
        rounding: By the name of a step's output, the RMS, in the tensor's own unit and over all
            samples, by which rounding moves it.
        state: The network's weights and statistics by name, float32.
    """

    traces: tuple[Trace, ...]
    rounding: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)


def evidence(weights: Path, samples: Sequence[Arrays], precision: str) -> Evidence:
    """Runs a weights file's network in this process, as it is and with what rounding does to it.

    Args:
        weights: A weights file of this package.
        samples: Inputs by name, NCHW float32, one batch each.
        precision: `float32` or `float16`, of the candidate's weights and results.

    Raises:
        UsageError: The weights cannot be read.
    """
    read = checkpoints.read(weights)
    return evidence_of(read.network(), samples, precision)


def evidence_of(network: nn.Module, samples: Sequence[Arrays], precision: str) -> Evidence:
    """As `evidence`, of a network in evaluation mode."""
    unit = UNITS[precision]
    traces = tuple(_trace(network, sample) for sample in samples)
    squares: dict[str, list[float]] = {}
    for run in range(_RUNS):
        generator = torch.Generator().manual_seed(run)
        moved = _moved(network, unit, generator)
        for sample, exact in zip(samples, traces, strict=True):
            strayed = _trace(moved, sample, partial(_move, unit=unit, generator=generator))
            for right, wrong in zip(exact, strayed, strict=True):
                difference = np.subtract(wrong.value, right.value, dtype=np.float64)
                error = rms(difference)
                squares.setdefault(right.output, []).append(error**2)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Evidence(traces, {n: float(np.mean(s)) ** 0.5 for n, s in squares.items()}, state)


def _trace(
    network: nn.Module, sample: Arrays, change: pytorch_trace.Change = lambda value: value
) -> Trace:
    given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.items()}
    return with_inputs(pytorch_trace.trace(network, given, change), sample)


def _moved(network: nn.Module, unit: float, generator: torch.Generator) -> nn.Module:
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.copy_(_move(weight, unit, generator))
    return moved


def _move(value: Tensor, unit: float, generator: torch.Generator) -> Tensor:
    noise = torch.empty_like(value).uniform_(-unit, unit, generator=generator)
    return value + value * noise
