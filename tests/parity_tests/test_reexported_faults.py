"""Faults that need another export: a wrong BN epsilon, dead weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agecompact.artifacts.manifest import read_builds
from agecompact.models import c3ae, mobilenetv3, registry, ssrnet
from agecompact.weights import checkpoints
from export import pipeline, targets, to_onnx
from parity_tests.results import Result
from tests.marks import by_model
from tests.support import CopyBuild, verdicts_on

TORCH_EPSILON = 1e-5
FAMILIES = (ssrnet, c3ae, mobilenetv3)


def convert_and_check(weights: Path, folder: Path) -> Result:
    """Converts in this process, where the network's code can differ from the reference's."""
    request = pipeline.Request(weights, targets.select(["onnx"], ["fp32"]), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_convert", lambda _format, job, _scratch: to_onnx.convert(job))
        pipeline.export(request)
    (result,) = verdicts_on(read_builds(folder)[0])
    return result


@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae-plain", "c3ae", "mobileagenet"))
def test_torchs_bn_epsilon_instead_of_keras_fails_with_the_released_weights(
    model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in FAMILIES:
        monkeypatch.setattr(family, "_BN_EPSILON", TORCH_EPSILON)
    result = convert_and_check(checkpoints.released_path(model_id), tmp_path / "build")
    print(f"{model_id}: {result.max_years:.3g} years")
    assert (result.status, result.kind) == ("failed", "mismatch")
    assert result.max_years is not None
    # More than ten times the gate, so not an accident of one weights file.
    assert result.max_years > 1e-2


def test_dead_weights_fail_even_where_pytorch_agrees(tmp_path: Path) -> None:
    network = registry.build("c3ae-plain")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.get_parameter("age.bias").fill_(33.5)
    weights = tmp_path / "dead.safetensors"
    checkpoints.write(weights, network, model_id="c3ae-plain")
    result = convert_and_check(weights, tmp_path / "build")
    assert (result.status, result.kind) == ("failed", "degenerate")
    assert "33.5" in result.reason


def test_without_a_reference_nothing_can_pass(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".onnx")
    build.weights.write_text("no weights")
    (result,) = verdicts_on(build)
    assert (result.status, result.kind) == ("failed", "reference")
    assert "ssrnet.safetensors cannot be used" in result.reason
