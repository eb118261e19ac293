"""Which layers stay in float32 when the rest of a network trains in 16 bits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def keep_float32(network: nn.Module, device: torch.device) -> None:
    """Makes some layers compute in float32 even under autocast, in place.

    These are Linear layers, because bfloat16 resolves an age of 60 to a quarter of a year. On a CPU
    they are also 5x5 or strided depthwise convolutions, for which oneDNN has no fast bfloat16
    gradient: they took 70 % of MobileAgeNet's step.
    """
    for module in network.modules():
        slow = (
            isinstance(module, nn.Conv2d)
            and module.groups > 1
            and (module.stride[0] > 1 or module.kernel_size[0] > 3)
            and device.type == "cpu"
        )
        if isinstance(module, nn.Linear) or slow:
            module.forward = _in_float32(module.forward, device.type)


def _in_float32(
    forward: Callable[[Tensor], Tensor], device_type: str
) -> Callable[[Tensor], Tensor]:
    def call(value: Tensor) -> Tensor:
        with torch.autocast(device_type, enabled=False):
            return forward(value.float())

    return call
