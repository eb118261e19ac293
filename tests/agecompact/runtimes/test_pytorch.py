"""The reference: PyTorch in float64, whose answers are rounded once."""

from __future__ import annotations

import numpy as np
import torch

from agecompact.runtimes import pytorch
from agecompact.runtimes.registry import runtime_of
from agecompact.weights import checkpoints
from tests.support import BuildOf


def test_float64_answers_are_the_float32_nearest_to_the_exact_ones(build_of: BuildOf) -> None:
    weights = build_of("c3ae-plain").weights
    face = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        exact = checkpoints.read(weights).network().double()(torch.from_numpy(face).double())
    (answer,) = pytorch.FLOAT64.open_session(str(weights), 1).infer({"face": face}).values()
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer, exact.float().numpy())
    (rounded,) = pytorch.open_session(str(weights), 1).infer({"face": face}).values()
    assert 0 < np.abs(rounded - exact.numpy()).max() < 1e-3


def test_users_mean_float32_by_a_weights_file(build_of: BuildOf) -> None:
    assert runtime_of(build_of("c3ae-plain").weights).name == "pytorch"
