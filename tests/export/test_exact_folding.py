"""Batch norms are folded with one rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from agecompact import checkpoints
from export.exact_folding import fold_exactly
from tests.support import BuildOf


def test_the_file_holds_the_float64_products_rounded_once(build_of: BuildOf) -> None:
    build = build_of("c3ae")
    network = checkpoints.read(build.weights).network()
    model = onnx.load(build.folder / "c3ae_float32.onnx")
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    folded = [node for node in model.graph.node if node.name.endswith(".bn/Conv")]
    assert len(folded) == 4
    for node in folded:
        block = node.name.removesuffix(".bn/Conv")
        convolution = network.get_submodule(f"{block}.conv").double()
        norm = network.get_submodule(f"{block}.bn").double()
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        with torch.no_grad():
            zero = torch.zeros(1, convolution.in_channels, 3, 3, dtype=torch.float64)
            bias = norm(convolution(zero)).flatten().numpy()
            scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).numpy()
        weight = convolution.weight.detach().numpy() * scale[:, None, None, None]
        np.testing.assert_array_equal(stored[node.input[1]], weight.astype(np.float32))
        np.testing.assert_allclose(stored[node.input[2]], bias, rtol=2**-24)


class _One(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.bn = nn.BatchNorm2d(1)


@pytest.mark.parametrize(("name", "factor"), [("bn/Conv", 2.0), ("conv/Conv", 1.0)])
def test_what_is_no_folded_batch_norm_is_left_alone(name: str, factor: float) -> None:
    network = _One().eval()
    weight = network.conv.weight.detach().numpy() * np.float32(factor)
    bias = np.zeros(1, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["y"], name)],
        "g",
        [],
        [],
        [
            numpy_helper.from_array(weight, "conv.weight"),
            numpy_helper.from_array(bias, "conv.bias"),
        ],
    )
    model = helper.make_model(graph)
    assert fold_exactly(model, network) == 0
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), weight)
