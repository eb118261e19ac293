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


def test_records_of_several_sources_stand_side_by_side(path):
    for record in records.ALL:
        store.add(path, [record])
    assert sorted(r.source for r in store.read(path)) == sorted(r.source for r in records.ALL)
    assert json.loads(path.read_text())["schema_version"] == SCHEMA_VERSION


def test_what_is_stored_is_judged(path):
    told = store.add(path, [records.HOST])
    assert told == store.read(path) == (validated(records.HOST),)
    assert told[0].valid is True


def test_an_artefact_that_was_exported_again_takes_its_own_place(path):
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
def test_another_run_leaves_the_record_as_it_was(path, other):
    store.add(path, [records.HOST])
    assert len(store.add(path, [other])) == 2


def test_an_update_of_the_system_does_not_make_another_machine(path):
    store.add(path, [records.HOST])
    updated = replace(records.HOST, machine=replace(records.HOST_MACHINE, os="Linux, newer"))
    (kept,) = store.add(path, [updated])
    assert kept.machine.os == "Linux, newer"


def _harmed(**changed):
    content = store.to_json([records.HOST])
    content["records"][0] |= changed
    return content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"schema_version": 1, "records": []}, "schema version 1"),
        ({"records": []}, "schema version None"),
        ({"schema_version": SCHEMA_VERSION}, "a version and records, no more"),
        ({"schema_version": SCHEMA_VERSION, "records": [], "x": 1}, "no more"),
        (_harmed(latency_ms=3.0), "unknown fields: latency_ms"),
        (_harmed(source="guess"), "none of device"),
        (_harmed(latency=None), "either its latency or why there is none"),
        (_harmed(valid="yes"), "not true or false"),
    ],
)
def test_what_is_not_of_this_schema_is_refused(path, content, told):
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as refused:
        store.read(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_nan_is_refused(path):
    text = json.dumps(store.to_json([records.HOST])).replace('"median": 0.8', '"median": NaN')
    path.write_text(text)
    with pytest.raises(UsageError, match="record 0"):
        store.read(path)


def test_a_file_that_cannot_be_read_is_not_written_over(path):
    path.write_text('{"schema_version": 1, "records": []}')
    with pytest.raises(UsageError, match="schema version 1"):
        store.add(path, [records.HOST])
    assert json.loads(path.read_text())["schema_version"] == 1
