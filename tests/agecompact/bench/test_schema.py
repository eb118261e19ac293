"""The JSON schema agrees with the dataclasses."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from agecompact.bench import schema, store
from agecompact.formats import FORMATS
from tests import records


def test_the_file_is_up_to_date():
    command = "python -m agecompact.bench.schema"
    assert json.loads(schema.PATH.read_text()) == schema.generate(), f"run: {command}"


def test_its_formats_are_those_of_the_table():
    artifact = schema.generate()["$defs"]["Artifact"]
    assert artifact["properties"]["format"]["enum"] == list(FORMATS)


def test_every_field_is_described():
    definitions = schema.generate()["$defs"]
    assert {"Record", "Latency", "Instructions", "Size", "Thermal"} <= definitions.keys()
    for name, definition in definitions.items():
        assert definition["description"], name
        assert all(field["description"] for field in definition["properties"].values()), name


@pytest.fixture(scope="module")
def validator():
    generated = schema.generate()
    Draft202012Validator.check_schema(generated)
    return Draft202012Validator(generated)


def test_records_conform(validator):
    validator.validate(store.to_json(records.ALL))


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("latency", {"p50_ms": 0}),
        ("latency", {"p50_us": 1.0}),
        ("latency", {"timed_runs": 0}),
        ("latency", {"mean_ms": None}),
        ("artifact", {"sha256": "0"}),
        ("runtime", {"threads": 1.5}),
        ("machine", {"cpu": " "}),
    ],
)
def test_the_schema_refuses_what_python_refuses(validator, part, changed):
    content = store.to_json([replace(records.HOST, profile=())])
    assert validator.is_valid(content)
    content["records"][0][part] |= changed
    assert not validator.is_valid(content)
