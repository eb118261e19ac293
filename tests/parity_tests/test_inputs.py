"""Mosaics reach activations inside a network that faces, noise and edges do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agecompact.artifacts.manifest import read_builds
from agecompact.formats import TARGETS
from agecompact.models import registry
from agecompact.weights import checkpoints
from export import pipeline
from parity_tests import inputs
from parity_tests.check import check_builds
from parity_tests.inputs import Sample
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import in_onnx
from tests.parity_tests.faults import onnx_edits

RELEASED = checkpoints.released_path("c3ae-plain")
PLAIN = checkpoints.read(RELEASED).contract
# Its two layers whose values are above 6 on none of the fixed inputs.
LAYERS = ("trunk.2.relu", "trunk.3.relu")


def greatest(network: nn.Module, layer: str, samples: Sequence[Sample]) -> float:
    """The greatest value that a layer writes."""
    found: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda *a: found.append(a[2].max()))
    with torch.no_grad():
        for sample in samples:
            tensors = PLAIN.tensors(sample.crops)
            network(*(torch.from_numpy(tensors[name]) for name in PLAIN.input_names))
    hook.remove()
    return float(max(found))


@pytest.mark.parametrize("layer", LAYERS)
def test_mosaics_cause_greater_activations_than_the_fixed_inputs(layer: str) -> None:
    network = checkpoints.read(RELEASED).network()
    assert greatest(network, layer, inputs.fixed(PLAIN)) < 6
    assert greatest(network, layer, inputs.mosaics(PLAIN)) > 6


@pytest.mark.parametrize("model_id", ["ssrnet", "c3ae"])
def test_mosaics_are_the_same_each_time_and_differ_from_crop_to_crop(model_id: str) -> None:
    contract = registry.get(model_id).contract
    one, other = inputs.mosaics(contract), inputs.mosaics(contract)
    images = [crop for sample in one for crop in sample.crops.values()]
    again = [crop for sample in other for crop in sample.crops.values()]
    assert np.array_equal(images, again)
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.slow
def test_an_activation_that_is_clipped_beyond_the_fixed_inputs_fails_the_check(
    tmp_path: Path,
) -> None:
    pipeline.export(pipeline.Request(RELEASED, TARGETS[:1], tmp_path))
    artifact = tmp_path / "c3ae-plain" / "c3ae-plain_float32.onnx"
    whole = artifact.read_bytes()
    for layer in LAYERS:
        artifact.write_bytes(whole)
        in_onnx(onnx_edits.clipped(f"{layer}/Relu", 0, 6))(artifact)
        (result,) = check_builds(read_builds(tmp_path), CheckSettings())
        assert result.max_error is not None
        assert result.max_error < result.tolerance.max
        assert (result.status, result.kind) == ("failed", "mismatch")
        assert "searched" in result.reason
        assert result.localisation is not None
        assert result.localisation["originates_at"]["scope"] == layer
