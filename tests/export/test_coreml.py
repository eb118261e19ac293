"""Content of the Core ML packages, read with coremltools' own protobuf."""

from __future__ import annotations

from pathlib import Path

import pytest

from agecompact import __version__
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.models import registry
from agecompact.runtimes.coreml import MODEL_FILE, read_specification
from export import pipeline, targets
from tests.marks import by_model
from tests.support import BuildOf, leaks, random_weights

pytest.importorskip("coremltools", reason="needs 'coreml'")

MODELS = ("ssrnet", "c3ae", "mobileagenet")
FILES = by_model(
    *(f"{model}.{precision}" for model in MODELS for precision in ("float32", "float16"))
)


@pytest.fixture(scope="module", params=FILES)
def exported(request: pytest.FixtureRequest, build_of: BuildOf) -> Path:
    model_id, precision = request.param.split(".")
    return build_of(model_id).folder / f"{model_id}_{precision}.mlpackage"


def test_it_is_a_program_with_float32_inputs_and_output(exported: Path) -> None:
    from coremltools.proto import FeatureTypes_pb2

    contract = registry.get(exported.parent.name).contract
    model = read_specification(str(exported))
    assert model.WhichOneof("Type") == "mlProgram"
    assert [f.name for f in model.description.input] == list(contract.input_names)
    assert [f.name for f in model.description.output] == [contract.outputs[0].name]
    features = (*model.description.input, *model.description.output)
    float32 = FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    assert [f.type.multiArrayType.dataType for f in features] == [float32] * len(features)


def test_it_has_a_description_and_metadata(exported: Path) -> None:
    spec = registry.get(exported.parent.name)
    model = read_specification(str(exported))
    about = model.description.metadata
    assert spec.title in about.shortDescription
    assert about.author == spec.source
    assert about.license == "Code: Apache-2.0. Random weights, free to use."
    assert about.versionString == __version__
    for feature in model.description.input:
        assert f"{spec.contract.height}x{spec.contract.width}" in feature.shortDescription
        assert spec.contract.color_order in feature.shortDescription
    assert "years" in model.description.output[0].shortDescription
    described = ArtifactMetadata.from_json(about.userDefined["agecompact"])
    assert exported.name == f"{described.model}_{described.precision}.mlpackage"
    assert described.contract == spec.contract


def test_it_has_no_other_files_and_no_local_paths(exported: Path) -> None:
    files = {f.relative_to(exported).as_posix(): f for f in exported.rglob("*") if f.is_file()}
    assert set(files) == {
        "Manifest.json",
        MODEL_FILE.as_posix(),
        "Data/com.apple.CoreML/weights/weight.bin",
    }
    assert [leak for path in files.values() for leak in leaks(path.read_bytes())] == []


@pytest.mark.parametrize(
    ("model_id", "order"), by_model(("ssrnet", "BGR"), ("mobileagenet", "RGB"))
)
def test_an_image_input_has_the_models_colour_order(
    model_id: str, order: str, tmp_path: Path
) -> None:
    from coremltools.proto import FeatureTypes_pb2

    weights = random_weights(tmp_path / "w.safetensors", model_id)
    chosen = targets.select(["coreml"], ["fp32"])
    pipeline.export(pipeline.Request(weights, chosen, tmp_path, input_kind="image"))
    model = read_specification(f"{tmp_path}/{model_id}/{model_id}_float32.mlpackage")
    image = model.description.input[0].type.imageType
    assert image.colorSpace == FeatureTypes_pb2.ImageFeatureType.ColorSpace.Value(order)
    side = registry.get(model_id).contract.height
    assert (image.height, image.width) == (side, side)
    # Core ML reorders the channels itself: it takes RGB images for every model.
    described = ArtifactMetadata.from_json(model.description.metadata.userDefined["agecompact"])
    assert (described.contract.dtype, described.contract.color_order) == ("uint8", "RGB")
    assert described.contract.value_range == (0.0, 255.0)
