"""Batch norms are folded with a single rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from agecompact.models.complexity import fold_batch_norm
from agecompact.weights import checkpoints
from export.exact_folding import fold_exactly
from tests.support import BuildOf


def test_the_weights_are_float64_products_rounded_once(build_of: BuildOf) -> None:
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
        expected = weight.astype(np.float32)
        # torch multiplies in another order, which moves a product that is nearly between two
        # float32 numbers. Folding in float32 would move a third of them.
        np.testing.assert_array_max_ulp(stored[node.input[1]], expected, 1)
        assert (stored[node.input[1]] != expected).mean() < 1e-3
        np.testing.assert_allclose(stored[node.input[2]], bias, rtol=2**-24)


@pytest.mark.parametrize(
    ("path", "factor", "replaced"), [("0", 1.0, 1), ("0", 2.0, 0), ("other", 1.0, 0)]
)
def test_only_weights_close_to_the_folded_ones_are_replaced(
    path: str, factor: float, replaced: int
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).eval()
    exact = fold_batch_norm(network).state_dict()
    near = np.nextafter(exact["0.weight"].numpy(), np.float32(9)) * np.float32(factor)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", f"{path}.weight", f"{path}.bias"], ["y"])],
        "g",
        [],
        [],
        [
            numpy_helper.from_array(near, f"{path}.weight"),
            numpy_helper.from_array(exact["0.bias"].numpy(), f"{path}.bias"),
        ],
    )
    model = helper.make_model(graph)
    assert fold_exactly(model, network) == replaced
    left = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(left, exact["0.weight"].numpy() if replaced else near)
