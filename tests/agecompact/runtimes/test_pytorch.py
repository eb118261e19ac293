"""The reference: PyTorch in float64, whose outputs are rounded once."""

from __future__ import annotations

import numpy as np
import torch

from agecompact.runtimes import pytorch
from agecompact.weights import checkpoints
from tests.support import BuildOf


def test_float64_outputs_are_rounded_to_the_nearest_float32(build_of: BuildOf) -> None:
    weights = build_of("c3ae-plain").weights
    face = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        exact = checkpoints.read(weights).network().double()(torch.from_numpy(face).double())
    (age,) = pytorch.FLOAT64.open_session(str(weights), 1).infer({"face": face}).values()
    assert age.dtype == np.float32
    # Another number of threads adds in another order, in float64: one unit of float32 at most.
    np.testing.assert_array_max_ulp(age, exact.float().numpy(), 1)
    (rounded,) = pytorch.FLOAT32.open_session(str(weights), 1).infer({"face": face}).values()
    assert 0 < np.abs(rounded - exact.numpy()).max() < 1e-3
