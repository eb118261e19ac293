"""Parameters and multiply-accumulates, counted on the network itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from threading import RLock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agecompact.contract import Contract

# While torch.fx traces a network, every network that another thread calls is traced as well, and
# fails. So whoever runs a network in a process that also folds holds this.
CALLS = RLock()


@dataclass(frozen=True)
class Complexity:
    """A network's counts.

    Attributes:
        parameters: Trainable parameters.
        bn_statistics: Running means and variances, which Keras counts as (untrainable) parameters.
        folded_parameters: Parameters after every BN is folded into the convolution before it.
        macs: Multiply-accumulates of convolutions and Linears for one face.
    """

    parameters: int
    bn_statistics: int
    folded_parameters: int
    macs: int


def example_inputs(contract: Contract, batch: int = 1) -> tuple[Tensor, ...]:
    """Returns zeros of the network's input shapes, NCHW float32, one tensor per crop."""
    shape = (batch, contract.channels, contract.height, contract.width)
    return tuple(torch.zeros(shape) for _ in contract.crops)


def measure(network: nn.Module, contract: Contract) -> Complexity:
    """Counts a network in evaluation mode, without changing it."""
    network = copy.deepcopy(network).eval()
    return Complexity(
        parameters=parameters(network),
        bn_statistics=bn_statistics(network),
        folded_parameters=sum(p.numel() for p in fold_batch_norm(network).parameters()),
        macs=_macs(network, example_inputs(contract)),
    )


def parameters(network: nn.Module) -> int:
    """Counts the trainable parameters."""
    return sum(p.numel() for p in network.parameters())


def bn_statistics(network: nn.Module) -> int:
    """Counts the running means and variances of every BN."""
    buffers = network.named_buffers()
    return sum(b.numel() for name, b in buffers if name.rpartition(".")[2].startswith("running_"))


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Returns a float32 copy with every BN folded into the convolution before it, by torch's pass.

    The products are computed in float64 and rounded once.
    """
    from torch.fx.experimental.optimization import fuse

    with CALLS:
        folded: nn.Module = fuse(copy.deepcopy(network).double().eval()).float()
    return folded


def folded_weights(network: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Returns the parameters of `fold_batch_norm`'s result, by name."""
    folded = fold_batch_norm(network).named_parameters()
    return {name: values.detach().numpy() for name, values in folded}


def _macs(network: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            total += output.numel() * kernel * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    handles = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total
