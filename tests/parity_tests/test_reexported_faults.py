"""Faults that need another export: a wrong BN epsilon, dead weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from agecompact.artifacts.manifest import read_builds
from agecompact.models import c3ae, mobilenetv3, registry, ssrnet
from agecompact.weights import checkpoints
from export import pipeline, targets, to_onnx
from parity_tests.results import Result
from tests.parity_tests.editing import Edit, in_onnx, unchanged
from tests.parity_tests.output_faults import Step, at_least, at_most, bump, onnx_output
from tests.support import CopyBuild, verdicts_on

TORCH_EPSILON = 1e-5
FAMILIES = (ssrnet, c3ae, mobilenetv3)


def convert_and_check(weights: Path, folder: Path, edit: Edit = unchanged) -> Result:
    """Converts in this process, where the network's code can differ from the reference's."""
    request = pipeline.Request(weights, targets.select(["onnx"], ["fp32"]), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_convert", lambda _format, job, _scratch: to_onnx.convert(job))
        pipeline.export(request)
    (build,) = read_builds(folder)
    edit(build.path(build.manifest.artifacts[0]))
    (result,) = verdicts_on(build)
    return result


@pytest.mark.parametrize(
    "model_id",
    [
        "ssrnet",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("c3ae-plain", "c3ae", "mobileagenet")),
    ],
)
def test_torchs_bn_epsilon_instead_of_keras_fails_with_the_released_weights(
    model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in FAMILIES:
        monkeypatch.setattr(family, "_BN_EPSILON", TORCH_EPSILON)
    result = convert_and_check(checkpoints.released_path(model_id), tmp_path / "build")
    print(f"{model_id}: {result.max_error:.3g} years")
    assert (result.status, result.kind) == ("failed", "mismatch")
    assert result.max_error is not None
    # More than ten times the gate, so not an accident of one weights file.
    assert result.max_error > 1e-2


@pytest.mark.parametrize(
    ("model_id", "steps"),
    [
        pytest.param("ssrnet", at_least(20.0), id="lowest ages"),
        pytest.param("ssrnet", at_most(95.0), id="highest ages", marks=pytest.mark.slow),
        pytest.param("c3ae", bump(40.0, 45.0, 2.0), id="a few ages", marks=pytest.mark.slow),
        pytest.param("ssrnet-gender", at_most(0.75), id="highest scores", marks=pytest.mark.slow),
    ],
)
def test_a_fault_that_only_other_faces_show_fails_with_the_released_weights(
    model_id: str, steps: Sequence[Step], tmp_path: Path
) -> None:
    edit = in_onnx(onnx_output(steps))
    result = convert_and_check(checkpoints.released_path(model_id), tmp_path / "build", edit)
    assert (result.status, result.kind) == ("failed", "mismatch")
    # The fixed inputs alone do not.
    assert result.max_error is not None
    assert result.max_error < result.tolerance.max


@pytest.mark.slow
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
