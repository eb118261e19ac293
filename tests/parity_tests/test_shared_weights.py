"""Weights that several branches share behind Identity nodes: onnx2tf reorders the biases.

It mistakes the 32 values of a bias for the sides of an NCHW shape and moves the second one to the
end. The export is a naive one: it calls the trunk once per crop, the legacy exporter writes the
graph, and no onnxsim removes the Identity nodes that it leaves.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from agecompact.artifacts import metadata
from agecompact.artifacts.manifest import Build, read_builds
from agecompact.formats import Format
from agecompact.models import c3ae
from agecompact.models.complexity import example_inputs
from agecompact.weights import checkpoints
from export import pipeline, targets
from export.job import Conversion, Job, metadata_for
from export.to_onnx import OPSET
from parity_tests.check import check_builds
from parity_tests.foreign import Side, check_pair
from parity_tests.settings import CheckSettings
from tests.support import verdicts_on

pytestmark = pytest.mark.slow

(_ONNX,) = targets.select(["onnx"], ["fp32"])


class _OneCallPerCrop(c3ae.C3AEFull):
    """The same network without stacked crops: the exporter sees the shared trunk three times."""

    def _context(self, crops: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([self._trunk_features(self.shrink(crop)) for crop in crops], dim=1)


def legacy_export(job: Job, *, identities: bool) -> Conversion:
    weights = checkpoints.read(job.weights)
    contract = weights.contract
    network = _OneCallPerCrop(**weights.config).eval()
    network.load_state_dict(weights.state)
    path = job.folder / _ONNX.file_name(weights.model_id)
    torch.onnx.export(
        network,
        example_inputs(contract, 1),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=list(contract.input_names),
        output_names=[contract.outputs[0].name],
        # It merges equal initialisers, leaving Identity nodes, only if they are not inputs.
        keep_initializers_as_inputs=not identities,
    )
    model = onnx.load(path)
    # Initialisers that are inputs too could be replaced by an app, which parity refuses.
    faces = [value for value in model.graph.input if value.name in contract.input_names]
    del model.graph.input[:]
    model.graph.input.extend(faces)
    described = metadata_for(weights, _ONNX, {})
    onnx.helper.set_model_props(model, {metadata.KEY: described.to_json()})
    onnx.save(model, path)
    return Conversion("torch.onnx, legacy", {}, OPSET)


def naive_build(folder: Path, *, identities: bool) -> Build:
    """A build of the released C3AE by the pipeline, with another exporter and without onnxsim."""
    convert = pipeline._convert

    def instead(format_: Format, job: Job, scratch: Path) -> Conversion:
        if format_.name == "onnx":
            return legacy_export(job, identities=identities)
        return convert(format_, job, scratch)

    shadow = folder / "shadow"
    shadow.mkdir()
    (shadow / "onnxsim.py").write_text("def simplify(model):\n    return model, True\n")

    def without_onnxsim(_: Path) -> dict[str, str]:
        path = os.pathsep.join([str(shadow), os.environ.get("PYTHONPATH", "")])
        return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}

    chosen = targets.select(["onnx", "tflite"], ["fp32"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_convert", instead)
        patch.setattr(pipeline, "_environment", without_onnxsim)
        out = folder / "build"
        pipeline.export(pipeline.Request(checkpoints.released_path("c3ae"), chosen, out))
    return read_builds(out)[0]


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return naive_build(tmp_path_factory.mktemp("harmed"), identities=True)


def identities_of(build: Build) -> list[onnx.NodeProto]:
    nodes = onnx.load(build.folder / "c3ae_float32.onnx").graph.node
    return [node for node in nodes if node.op_type == "Identity"]


def test_the_converted_file_is_off_by_years_although_the_onnx_file_is_right(harmed: Build) -> None:
    assert identities_of(harmed)
    results = {r.runtime: r for r in check_builds([harmed], CheckSettings(budget=None))}
    assert (results["onnxruntime"].status, results["onnxruntime"].kind) == ("passed", None)
    wrong = results["litert"]
    assert (wrong.status, wrong.kind) == ("failed", "mismatch")
    assert wrong.max_error is not None
    assert wrong.max_error > 1
    # PyTorch stacks the crops, the file does not: the first block of a harmed crop is faulty.
    assert wrong.localisation is not None
    origin = wrong.localisation["originates_at"]
    assert origin["scope"] == "trunk.0.bn"
    assert origin["candidate_op"].startswith("CONV_2D")
    # Its filter is right, bit by bit: a bias of another layer came through an Identity.
    assert origin["suspicion"] == "bias differs"
    assert "the same biases in another order" in origin["evidence"]


def test_without_the_identities_the_same_export_is_correct(tmp_path: Path) -> None:
    build = naive_build(tmp_path, identities=False)
    assert not identities_of(build)
    results = {r.runtime: (r.status, r.kind) for r in verdicts_on(build)}
    assert results == {"onnxruntime": ("passed", None), "litert": ("passed", None)}


def test_against_onnx_the_reader_of_the_first_identity_is_faulty(harmed: Build) -> None:
    source = harmed.folder / "c3ae_float32.onnx"
    (result,) = check_pair(
        Side(source), Side(source.with_suffix(".tflite")), CheckSettings(budget=None)
    )
    assert result.kind == "mismatch"
    assert result.localisation is not None
    origin = result.localisation["originates_at"]
    row = result.localisation["rows"][origin["row"]]

    graph = onnx.load(source).graph
    hidden = {node.output[0] for node in identities_of(harmed)}
    victim = next(node for node in graph.node if node.op_type == "Conv" and hidden & {*node.input})
    # LiteRT fuses the activation into the convolution, so only its output can be compared.
    after = [node.output[0] for node in graph.node if victim.output[0] in node.input]
    assert row["tensor"] in after
    assert origin["candidate_op"].startswith("CONV_2D")
