"""Batch norms folded into the convolutions of an ONNX graph, with one rounding.

The exporter folds them in float32, operation by operation, which leaves weights wrong by two units
in the last place. On an image without contrast all pixels err alike, the errors of all weights add
up, and the network amplifies the sum: it was half of what C3AE lost. Here the same products are
formed in float64 and rounded once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    import onnx

# The exporter's own folding is nearer than this to the exact one, in units of the largest weight;
# a node that is farther off is none that was folded, and is left alone.
_SAME = 1e-4


def fold_exactly(model: onnx.ModelProto, network: nn.Module) -> int:
    """Replaces the weights of convolutions that a batch norm was folded into, in place.

    Args:
        model: Its nodes are named after modules: `trunk.0.bn/Conv`, weights after parameters.
        network: What it was exported from, in evaluation mode.

    Returns:
        How many convolutions were replaced.
    """
    from onnx import numpy_helper

    modules = dict(network.named_modules())
    stored = {initializer.name: initializer for initializer in model.graph.initializer}
    often = Counter(name for node in model.graph.node for name in node.input)
    replaced = 0
    for node in model.graph.node:
        if node.op_type != "Conv" or len(node.input) != 3:
            continue
        norm = modules.get(node.name.rpartition("/")[0])
        convolution = modules.get(node.input[1].rpartition(".")[0])
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, nn.Conv2d):
            continue
        targets = [stored[name] for name in node.input[1:] if often[name] == 1 and name in stored]
        exact = _folded(convolution, norm)
        old = [numpy_helper.to_array(target) for target in targets]
        if len(old) != 2 or not all(map(_same, old, exact)):
            continue
        for target, values in zip(targets, exact, strict=True):
            target.CopyFrom(numpy_helper.from_array(values.astype(np.float32), target.name))
        replaced += 1
    return replaced


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Weight, OIHW, and bias of the one convolution that does the work of both, float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        given = 0.0 if convolution.bias is None else convolution.bias.double()
        weight = convolution.weight.double() * scale.reshape(-1, 1, 1, 1)
        bias = norm.bias.double() + (given - norm.running_mean.double()) * scale
    return weight.numpy(), bias.numpy()


def _same(old: np.ndarray, exact: np.ndarray) -> bool:
    near = _SAME * float(np.abs(exact).max())
    return old.shape == exact.shape and bool(np.allclose(old, exact, rtol=0, atol=near))
