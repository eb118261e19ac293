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

from agecompact.precisions import PRECISIONS
from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Array, Arrays, Trace
from agecompact.weights import checkpoints
from parity_tests.localisation.comparison import Known
from parity_tests.localisation.graph import rms, with_inputs

# Runs with simulated rounding over all samples, at least two on each.
_RUNS = 8
# Steps of int8 on either side of 0.
_LEVELS = 127


@dataclass(frozen=True)
class ReferenceRun:
    """A PyTorch network's traces, and what else it reveals about an error.

    Attributes:
        traces: Its traces in float32, one per sample, inputs first.
        known: The RMS change that rounding causes, over all samples; its weights and statistics,
            float32, and the epsilon of each batch norm as `<module>.eps`; and a function that runs
            it again on the same samples with some tensors replaced, inputs among them: the network
            as it is, and with its weights in int8.
    """

    traces: tuple[Trace, ...]
    known: Known


def run_reference(weights: Path, samples: Sequence[Arrays], precision: str) -> ReferenceRun:
    """Runs a network in this process, once exactly and several times with simulated rounding.

    Args:
        weights: A weights file of this package.
        samples: Inputs by name, NCHW float32, one batch each.
        precision: The candidate's, a key of `agecompact.precisions.PRECISIONS`.

    Raises:
        UsageError: The weights cannot be read.
    """
    network = checkpoints.read(weights).network()
    unit = PRECISIONS[precision].rounding_unit
    traces = tuple(_trace(network, sample) for sample in samples)
    squares: dict[str, list[float]] = {}
    for run in range(max(2, _RUNS // len(samples))):
        generator = torch.Generator().manual_seed(run)
        changed = _with_changed_weights(network, unit, generator)
        for sample, exact in zip(samples, traces, strict=True):
            rounded = _trace(changed, sample, partial(_change, unit=unit, generator=generator))
            for right, wrong in zip(exact, rounded, strict=True):
                error = rms(np.subtract(wrong.value, right.value, dtype=np.float64))
                squares.setdefault(right.output, []).append(error**2)
    rounding = {name: float(np.mean(found)) ** 0.5 for name, found in squares.items()}
    replays = (partial(_replay, each, samples) for each in (network, _in_int8(network)))
    known = Known(rounding, _state(network), *replays)
    return ReferenceRun(traces, known)


def _state(network: nn.Module) -> dict[str, Array]:
    state: dict[str, Array] = {n: tensor.numpy() for n, tensor in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            state[f"{name}.eps"] = np.asarray(module.eps, np.float64)
    return state


def _replay(
    network: nn.Module, samples: Sequence[Arrays], replaced: Mapping[str, Sequence[Array]]
) -> tuple[Trace, ...]:
    def run(place: int, sample: Arrays) -> Trace:
        def change(name: str, value: Tensor) -> Tensor:
            if name not in replaced:
                return value
            other = np.asarray(replaced[name][place], np.float32).reshape(value.shape)
            return torch.from_numpy(np.ascontiguousarray(other))

        inputs = {
            name: replaced[name][place] if name in replaced else sample[name] for name in sample
        }
        return _trace(network, inputs, change)

    return tuple(run(place, sample) for place, sample in enumerate(samples))


def _trace(
    network: nn.Module, sample: Arrays, change: pytorch_trace.Change = lambda _, value: value
) -> Trace:
    inputs = {
        n: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for n, value in sample.items()
    }
    return with_inputs(pytorch_trace.trace(network, inputs, change), sample)


def _with_changed_weights(network: nn.Module, unit: float, generator: torch.Generator) -> nn.Module:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.copy_(_change("", weight, unit, generator))
    return changed


def _in_int8(network: nn.Module) -> nn.Module:
    """A network whose weights are multiples of a step, one for each output."""
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for weight in changed.parameters():
            if weight.ndim > 1:
                greatest = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
                step = greatest.clamp(min=1e-12) / _LEVELS
                weight.copy_((weight / step).round() * step)
    return changed


def _change(_: str, value: Tensor, unit: float, generator: torch.Generator) -> Tensor:
    noise = torch.empty_like(value).uniform_(-unit, unit, generator=generator)
    return value + value * noise
