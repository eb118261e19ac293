"""The schema for other languages matches the dataclasses, and real reports conform to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parity_tests import schema
from parity_tests.check import check_builds
from parity_tests.results import as_json
from parity_tests.settings import CheckSettings
from tests.support import CopyBuild


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    generated = schema.generate()
    jsonschema.Draft202012Validator.check_schema(generated)
    return jsonschema.Draft202012Validator(generated)


def test_the_file_matches_the_dataclasses() -> None:
    command = "python -m parity_tests.schema"
    assert json.loads(schema.PATH.read_text()) == schema.generate(), f"remake it with: {command}"


def test_every_field_has_a_description() -> None:
    definitions = schema.generate()["$defs"]
    assert definitions.keys() == {
        "CoveredRange",
        "Float64Check",
        "Quantiles",
        "Result",
        "Tolerance",
    }
    for name, definition in definitions.items():
        assert all(field["description"] for field in definition["properties"].values()), name


@pytest.mark.slow
def test_a_real_report_conforms_and_one_with_an_unknown_field_does_not(
    copy_build: CopyBuild, validator: Any
) -> None:
    build = copy_build("ssrnet", "float32.onnx", ".mlpackage")
    results = check_builds([build], CheckSettings(localise="always"))
    assert {result.status for result in results} <= {"passed", "skipped"}
    content = as_json(results)
    validator.validate(content)
    content["results"][0]["max_ms"] = 1.0
    assert not validator.is_valid(content)
