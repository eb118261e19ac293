"""The schema that other languages read says what the dataclasses say."""

import json
from dataclasses import replace

import pytest

from agecompact.bench import schema, store
from tests import records


def test_the_file_is_what_the_dataclasses_say():
    command = "python -m agecompact.bench.schema"
    assert json.loads(schema.PATH.read_text()) == schema.generate(), f"{command} writes it anew"


def test_every_field_is_described():
    definitions = schema.generate()["$defs"]
    assert {"Record", "Latency", "Instructions", "Size", "Thermal"} <= definitions.keys()
    for name, definition in definitions.items():
        assert definition["description"], name
        assert all(field["description"] for field in definition["properties"].values()), name


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    generated = schema.generate()
    jsonschema.Draft202012Validator.check_schema(generated)
    return jsonschema.Draft202012Validator(generated)


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
def test_what_python_refuses_the_schema_refuses(validator, part, changed):
    content = store.to_json([replace(records.HOST, profile=())])
    assert validator.is_valid(content)
    content["records"][0][part] |= changed
    assert not validator.is_valid(content)
