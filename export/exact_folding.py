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

from agecompact.models.complexity import folded_weights

if TYPE_CHECKING:
    import onnx
    from torch import nn

# The exporter's own folding is nearer than this to the exact one, in units of the largest weight;
# a node that is farther off is none that was folded, and is left alone.
_SAME = 1e-4


def fold_exactly(model: onnx.ModelProto, network: nn.Module) -> int:
    """Replaces the weights of convolutions that a batch norm was folded into, in place.

    Args:
        model: Its weights are named after the network's parameters.
        network: What it was exported from, in evaluation mode.

    Returns:
        How many convolutions were replaced.
    """
    from onnx import numpy_helper

    folded = folded_weights(network)
    stored = {initializer.name: initializer for initializer in model.graph.initializer}
    often = Counter(name for node in model.graph.node for name in node.input)
    replaced = 0
    for node in model.graph.node:
        if node.op_type != "Conv" or len(node.input) != 3:
            continue
        names = node.input[1:]
        path = names[0].removesuffix(".weight")
        if f"{path}.bias" not in folded or any(often[n] > 1 or n not in stored for n in names):
            continue
        exact = [folded[f"{path}.{part}"] for part in ("weight", "bias")]
        old = [numpy_helper.to_array(stored[name]) for name in names]
        if all(map(np.array_equal, old, exact)) or not all(map(_same, old, exact)):
            continue
        for name, values in zip(names, exact, strict=True):
            stored[name].CopyFrom(numpy_helper.from_array(values, name))
        replaced += 1
    return replaced


def _same(old: np.ndarray, exact: np.ndarray) -> bool:
    near = _SAME * float(np.abs(exact).max())
    return old.shape == exact.shape and bool(np.allclose(old, exact, rtol=0, atol=near))
