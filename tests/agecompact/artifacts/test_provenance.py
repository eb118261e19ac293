"""What an artefact says about itself is compared with the manifest, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agecompact.artifacts.manifest import Entry, Manifest
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.artifacts.provenance import differences
from agecompact.contract import Crop
from agecompact.models import registry

CONTRACT = registry.get("ssrnet").contract
VERSIONS = {"agecompact": "0.1.0", "onnx": "1.23.2"}
DESCRIBED = ArtifactMetadata(
    model="ssrnet",
    precision="float32",
    contract=CONTRACT,
    weights_sha256="a" * 64,
    source="a paper",
    terms="research only",
    versions=VERSIONS,
)
ENTRY = Entry(
    file="ssrnet_float32.onnx",
    format="onnx",
    precision="float32",
    sha256="b" * 64,
    bytes=1,
    converter="torch.onnx",
    versions=VERSIONS,
    opset=18,
    batch=1,
    conversion_s=1.0,
)
MANIFEST = Manifest(
    model="ssrnet",
    weights="ssrnet.safetensors",
    weights_sha256="a" * 64,
    source="a paper",
    terms="research only",
    contract=CONTRACT,
    parameters=1,
    folded_parameters=1,
    macs=1,
    artifacts=(ENTRY,),
)


def test_the_same_metadata_in_the_layout_of_the_artefact_agree() -> None:
    assert differences(DESCRIBED, MANIFEST, ENTRY) == ()
    nhwc = replace(CONTRACT, layout="NHWC")
    image = replace(nhwc, dtype="uint8", color_order="RGB")
    for contract in (nhwc, image):
        assert differences(replace(DESCRIBED, contract=contract), MANIFEST, ENTRY) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "c3ae"),
        ("precision", "float16"),
        ("weights_sha256", "c" * 64),
        ("source", "another paper"),
        ("terms", ""),
        ("versions", {**VERSIONS, "onnx": "1.24.0"}),
        ("versions", {"agecompact": "0.1.0"}),
    ],
)
def test_another_value_is_named(field: str, value: Any) -> None:
    (found,) = differences(replace(DESCRIBED, **{field: value}), MANIFEST, ENTRY)
    assert field in found
    assert repr(value) in found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crops", (Crop("face", left=0.1),)),
        ("height", 32),
        ("width", 32),
        ("interpolation", "linear"),
        ("outputs", (replace(CONTRACT.outputs[0], unit="score"),)),
    ],
)
def test_another_part_of_the_contract_is_named(field: str, value: Any) -> None:
    contract = replace(CONTRACT, **{field: value})
    (found,) = differences(replace(DESCRIBED, contract=contract), MANIFEST, ENTRY)
    assert f"another {field}" in found
