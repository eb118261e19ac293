import json
from dataclasses import replace

import pytest

from agecompact.bench import store
from agecompact.bench.record import SCHEMA_VERSION
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from tests import records

_OTHER_FILE = replace(records.ARTIFACT, sha256="9" * 64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latency.json"


def test_records_of_several_sources_are_kept(path):
    for record in records.ALL:
        store.add(path, [record])
    assert sorted(r.source for r in store.read(path)) == sorted(r.source for r in records.ALL)
    assert json.loads(path.read_text())["schema_version"] == SCHEMA_VERSION


def test_stored_records_are_validated(path):
    added = store.add(path, [records.HOST])
    assert added == store.read(path) == (validated(records.HOST),)
    assert added[0].valid is True


def test_an_artefact_that_was_exported_again_replaces_its_record(path):
    store.add(path, records.ALL)
    store.add(path, [replace(records.HOST, artifact=_OTHER_FILE)])
    assert len(store.read(path)) == len(records.ALL)
    assert [r.artifact.sha256 for r in store.read(path) if r.source == "host"] == ["9" * 64]


@pytest.mark.parametrize(
    "other",
    [
        replace(records.HOST, runtime=replace(records.RUNTIME, threads=2)),
        replace(records.HOST, runtime=replace(records.RUNTIME, batch=8)),
        replace(records.HOST, runtime=replace(records.RUNTIME, name="benchmark_model")),
        replace(records.HOST, runtime=replace(records.RUNTIME, core_mask="f0")),
        replace(
            records.HOST,
            runtime=replace(records.RUNTIME, delegate=replace(records.XNNPACK, asked="gpu")),
        ),
        replace(records.HOST, machine=replace(records.HOST_MACHINE, cpu="another host's")),
        replace(records.HOST, artifact=replace(records.ARTIFACT, file="other.tflite")),
    ],
)
def test_a_different_measurement_leaves_the_record(path, other):
    store.add(path, [records.HOST])
    assert len(store.add(path, [other])) == 2


def test_an_updated_system_is_the_same_machine(path):
    store.add(path, [records.HOST])
    updated = replace(records.HOST, machine=replace(records.HOST_MACHINE, os="Linux, newer"))
    (kept,) = store.add(path, [updated])
    assert kept.machine.os == "Linux, newer"


def _altered(**changed):
    content = store.to_json([records.HOST])
    content["records"][0] |= changed
    return content


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"schema_version": 1, "records": []}, "schema version 1"),
        ({"records": []}, "schema version None"),
        ({"schema_version": SCHEMA_VERSION}, "a field is missing at records"),
        ({"schema_version": SCHEMA_VERSION, "records": [], "x": 1}, "unknown fields: x"),
        (_altered(latency_ms=3.0), "unknown fields: latency_ms at records[0]"),
        (_altered(source="guess"), "none of device"),
        (_altered(latency=None), "exactly one of 'latency' and 'failure'"),
        (_altered(valid="yes"), "not true or false"),
    ],
)
def test_a_file_of_another_schema_is_refused(path, content, why):
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as refused:
        store.read(path)
    assert why in str(refused.value)
    assert str(path) in str(refused.value)
    assert "measure again" in refused.value.fix


def test_a_nan_is_refused(path):
    text = json.dumps(store.to_json([records.HOST])).replace('"median": 0.8', '"median": NaN')
    path.write_text(text)
    with pytest.raises(UsageError, match="NaN is not a finite number"):
        store.read(path)


def test_an_unreadable_file_is_not_overwritten(path):
    path.write_text('{"schema_version": 1, "records": []}')
    with pytest.raises(UsageError, match="schema version 1"):
        store.add(path, [records.HOST])
    assert json.loads(path.read_text())["schema_version"] == 1
