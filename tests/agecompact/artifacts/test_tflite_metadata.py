"""The standard metadata, read with the generated code of `tflite-support`, as other tools do."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, files
from typing import Any

import numpy as np
import pytest

from agecompact.artifacts import tflite_metadata
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract
from agecompact.models import registry
from agecompact.outputs import Output

_GENERATED = "metadata_schema_py_generated.py"


@pytest.fixture(scope="module")
def read() -> Callable[[bytes], Any]:
    """Reads the FlatBuffer; the package itself cannot be imported without a USB library."""
    try:
        places = [each for each in files("tflite-support") or () if each.name == _GENERATED]
    except PackageNotFoundError:
        pytest.skip("tflite-support is not installed: it has wheels for CPython 3.11 at most")
    spec = importlib.util.spec_from_file_location("metadata_schema", str(places[0].locate()))
    assert spec is not None
    assert spec.loader is not None
    schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schema)

    def parsed(content: bytes) -> Any:
        assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
        return schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content, 0))

    return parsed


def described(contract: Contract) -> ArtifactMetadata:
    return ArtifactMetadata(
        model="ssrnet",
        precision="int8",
        contract=contract,
        weights_sha256="0123456789abcdef" * 4,
        source="Yang et al., IJCAI 2018",
        terms="Research only.",
        versions={},
    )


def test_describes_the_model_for_people(read: Callable[[bytes], Any]) -> None:
    contract = registry.get("ssrnet").contract
    found = read(tflite_metadata.encoded(described(contract)))
    assert found.name == b"ssrnet"
    assert found.description == b"ssrnet, int8. Yang et al., IJCAI 2018"
    assert found.version == b"0123456789ab"
    assert b"Research only." in found.license
    assert found.minParserVersion == b"1.0.0"
    (graph,) = found.subgraphMetadata
    assert [each.name for each in graph.inputTensorMetadata] == [b"face"]
    assert b"BGR" in graph.inputTensorMetadata[0].description
    assert [each.name for each in graph.outputTensorMetadata] == [b"age"]
    assert graph.outputTensorMetadata[0].description == b"years"


@pytest.mark.parametrize("model", ["ssrnet", "c3ae", "mobileagenet"])
def test_its_normalisation_of_levels_is_the_contracts(
    model: str, read: Callable[[bytes], Any]
) -> None:
    contract = registry.get(model).contract
    (graph,) = read(tflite_metadata.encoded(described(contract))).subgraphMetadata
    levels = np.arange(256)[:, np.newaxis]
    assert len(graph.inputTensorMetadata) == len(contract.crops)
    for each in graph.inputTensorMetadata:
        (unit,) = each.processUnits
        made = (levels - np.array(unit.options.mean)) / np.array(unit.options.std)
        np.testing.assert_allclose(made, contract.table()[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("colours", "space"), [("RGB", 1), ("GREY", 2), ("BGR", None)])
def test_no_tool_takes_an_input_in_bgr_for_an_image(
    colours: Any, space: int | None, read: Callable[[bytes], Any]
) -> None:
    contract = replace(registry.get("ssrnet").contract, color_order=colours, mean=(), std=())
    (graph,) = read(tflite_metadata.encoded(described(contract))).subgraphMetadata
    (each,) = graph.inputTensorMetadata
    is_image = each.content.contentPropertiesType == 2  # ContentProperties.ImageProperties
    assert is_image == (space is not None)
    if space is not None:
        assert each.content.contentProperties.colorSpace == space


def test_bounds_are_the_outputs(read: Callable[[bytes], Any]) -> None:
    contract = registry.get("mobileagenet").contract
    (graph,) = read(tflite_metadata.encoded(described(contract))).subgraphMetadata
    (age,) = graph.outputTensorMetadata
    assert (list(age.stats.min), list(age.stats.max)) == ([1.0], [95.0])


def test_labels_lie_behind_the_model_where_tools_look(read: Callable[[bytes], Any]) -> None:
    output = Output("mood", "score", size=2, labels=("calm", "très gai"))
    contract = replace(registry.get("ssrnet").contract, outputs=(output,))
    (graph,) = read(tflite_metadata.encoded(described(contract))).subgraphMetadata
    (file,) = graph.outputTensorMetadata[0].associatedFiles
    assert file.type == 2  # AssociatedFileType.TENSOR_AXIS_LABELS
    model = b"a model" * 100
    written = tflite_metadata.with_labels(model, contract)
    assert written.startswith(model)
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.read(file.name.decode()).decode().split("\n") == ["calm", "très gai", ""]
    assert written == tflite_metadata.with_labels(model, contract)


def test_a_file_without_labels_is_unchanged() -> None:
    assert tflite_metadata.with_labels(b"a model", registry.get("ssrnet").contract) == b"a model"
