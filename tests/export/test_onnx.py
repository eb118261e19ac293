"""Content of the ONNX files, read with onnx and run with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from agecompact.files import canonical_json
from agecompact.models import registry
from agecompact.serialization import unstructure
from export import pipeline, targets
from tests.marks import by_model
from tests.support import BuildOf, leaks, random_weights

# A trunk that several crops share counts once.
CONVOLUTIONS = {"ssrnet": 14, "c3ae-plain": 5, "c3ae": 11, "mobileagenet": 62}


@pytest.fixture(scope="module", params=by_model(*CONVOLUTIONS))
def exported(request: pytest.FixtureRequest, build_of: BuildOf) -> Path:
    build = build_of(request.param)
    return build.folder / f"{request.param}_float32.onnx"


def test_it_is_valid_opset_18(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_it_is_one_file_without_local_paths(exported: Path) -> None:
    assert leaks(exported.read_bytes()) == []
    assert not list(exported.parent.glob("*.data"))


def test_each_convolution_has_its_modules_name_and_includes_its_batch_norm(exported: Path) -> None:
    nodes = onnx.load(exported).graph.node
    assert len({node.name for node in nodes}) == len(nodes)
    assert "BatchNormalization" not in {node.op_type for node in nodes}
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) == CONVOLUTIONS[exported.parent.name]
    modules = dict(registry.build(exported.parent.name).named_modules())
    assert all(name.removesuffix("/Conv") in modules for name in convolutions)


def test_its_inputs_and_output_match_the_contract(exported: Path) -> None:
    model = onnx.load(exported)
    contract = registry.get(exported.parent.name).contract

    def shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
        return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)

    inputs = {value.name: shape(value) for value in model.graph.input}
    assert inputs == dict.fromkeys(contract.input_names, (1, 3, contract.height, contract.width))
    assert {v.name: shape(v) for v in model.graph.output} == {contract.outputs[0].name: (1, 1)}
    written = next(entry.value for entry in model.metadata_props if entry.key == "agecompact")
    assert canonical_json(unstructure(contract)) in written


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["ssrnet", "c3ae"])
def test_a_dynamic_batch_equals_single_images(model_id: str, tmp_path: Path) -> None:
    weights = random_weights(tmp_path / "w.safetensors", model_id)
    chosen = targets.select(["onnx"], ["fp32"])
    pipeline.export(pipeline.Request(weights, chosen, tmp_path, dynamic_batch=True))
    session = ort.InferenceSession(tmp_path / model_id / f"{model_id}_float32.onnx")
    contract = registry.get(model_id).contract
    shape = (64, 3, contract.height, contract.width)
    random = np.random.default_rng(0)
    images = {n: random.uniform(0, 255, shape).astype(np.float32) for n in contract.input_names}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        output: np.ndarray = session.run(None, inputs)[0]
        return output

    singly = [run({n: x[i : i + 1] for n, x in images.items()}) for i in range(64)]
    for batch in (1, 3, 64):
        together = run({name: x[:batch] for name, x in images.items()})
        assert together.shape == (batch, 1)
        np.testing.assert_allclose(together, np.concatenate(singly[:batch]), rtol=0, atol=1e-4)
    assert np.std(singly) > 0.05
