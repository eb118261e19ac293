"""The weights in a Core ML package equal, bit for bit, what its converter was given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from agecompact.artifacts.manifest import Build
from agecompact.models import registry
from agecompact.models.complexity import fold_batch_norm, folded_weights
from agecompact.weights import checkpoints
from parity_tests.weights import compare_given
from tests.support import BuildOf

PRECISIONS = ("float32", "float16")


def given_to(build: Build) -> dict[str, npt.NDArray[np.float32]]:
    return folded_weights(checkpoints.read(build.weights).network())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model_id", registry.MODELS)
def test_the_package_contains_every_parameter_and_no_other(
    model_id: str, precision: str, build_of: BuildOf
) -> None:
    pytest.importorskip("coremltools")
    build = build_of(model_id)
    package = build.folder / f"{model_id}_{precision}.mlpackage"
    assert compare_given(package, given_to(build)) == ()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_parameter_that_differs_in_one_bit_is_reported_in_both_directions(
    precision: str, build_of: BuildOf
) -> None:
    pytest.importorskip("coremltools")
    build = build_of("ssrnet")
    given = given_to(build)
    name = next(n for n, tensor in given.items() if tensor.ndim == 4 and tensor.shape[1] > 3)
    # A bit that float16 keeps too.
    given[name] = given[name].copy()
    given[name].reshape(-1).view("uint32")[0] ^= 1 << 14
    own, missing = compare_given(build.folder / f"ssrnet_{precision}.mlpackage", given)
    assert (own.kind, own.parameter, own.elements) == ("given", "weight", given[name].size)
    assert (missing.kind, missing.reason) == ("given", f"{name} is missing")


def test_batch_norms_are_folded_with_one_rounding(build_of: BuildOf) -> None:
    network = checkpoints.read(build_of("c3ae-plain").weights).network()
    convolution, norm = (network.get_submodule(f"trunk.0.{part}") for part in ("conv", "bn"))
    assert isinstance(convolution, torch.nn.Conv2d)
    assert isinstance(norm, torch.nn.BatchNorm2d)
    folded = fold_batch_norm(network).get_parameter("trunk.0.conv.weight")
    with torch.no_grad():
        convolution, norm = convolution.double(), norm.double()
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        exact = convolution.weight * scale.reshape(-1, 1, 1, 1)
    assert (folded - exact).abs().max() <= exact.abs().max() * 2**-24
    assert torch.equal(folded, exact.float())
