"""The reference: PyTorch in float64, whose outputs are rounded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agecompact.models import registry
from agecompact.runtimes import pytorch
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.weights import checkpoints
from tests.support import BuildOf


def test_float64_outputs_are_rounded_to_the_nearest_float32(build_of: BuildOf) -> None:
    weights = build_of("ssrnet").weights
    face = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        exact = checkpoints.read(weights).network().double()(torch.from_numpy(face).double())
    (age,) = pytorch.FLOAT64.open_session(str(weights), 1).infer({"face": face}).values()
    assert age.dtype == np.float32
    # Another number of threads adds in another order, in float64: one unit of float32 at most.
    np.testing.assert_array_max_ulp(age, exact.float().numpy(), 1)
    (rounded,) = pytorch.FLOAT32.open_session(str(weights), 1).infer({"face": face}).values()
    assert 0 < np.abs(rounded - exact.numpy()).max() < 1e-3


def test_gradients_of_every_input_are_those_of_finite_differences(build_of: BuildOf) -> None:
    weights = build_of("c3ae").weights
    random = np.random.default_rng(0)
    crops = ("outer", "middle", "inner")
    faces = {n: random.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32) for n in crops}
    session = pytorch.FLOAT64.open_session(str(weights), 1)
    outputs, gradients = session.differentiate(faces, {"age": [1.0]})
    np.testing.assert_allclose(outputs["age"], session.infer(faces)["age"], atol=1e-3)
    network = checkpoints.read(weights).network().double()
    for name in crops:
        # The pixel that matters most.
        place = np.unravel_index(np.abs(gradients[name]).argmax(), gradients[name].shape)
        ages = []
        for step in (-0.01, 0.01):
            moved = {n: face.astype(np.float64) for n, face in faces.items()}
            moved[name][place] += step
            with torch.no_grad():
                ages.append(float(network(*(torch.from_numpy(moved[n]) for n in crops))))
        slope = (ages[1] - ages[0]) / 0.02
        assert slope != 0
        assert gradients[name][place] == pytest.approx(slope, rel=1e-2)


def test_a_network_that_gradients_do_not_pass_has_gradients_of_zero() -> None:
    class Brightest(nn.Module):
        def forward(self, face: Tensor) -> Tensor:
            return face.flatten(1).argmax(1, keepdim=True)

    contract = registry.get("ssrnet").contract
    session = pytorch._Session(Brightest(), contract, torch.float32)
    face = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    outputs, gradients = session.differentiate({"face": face}, {"age": [1.0]})
    assert outputs["age"] == face.argmax()
    assert not gradients["face"].any()
    assert gradients["face"].shape == face.shape


def test_other_runtimes_have_no_gradients(build_of: BuildOf) -> None:
    with RuntimeProcess(build_of("ssrnet").folder / "ssrnet_float32.onnx") as process:
        process.open()
        with pytest.raises(RuntimeFailure, match="computes no gradients of age by face"):
            process.differentiate({"face": np.zeros((1, 1, 3, 64, 64), np.float32)}, {"age": [1.0]})
