"""The files that Swift's tests read are what Python writes today, and what its reader takes."""

import json

from agecompact.artifacts import golden
from agecompact.bench import schema, store
from agecompact.files import sha256_of, size_of
from tests.ios_bench import fixtures, json_schema

_SCHEMA = json.loads(schema.PATH.read_text())


def test_they_are_what_python_writes_today():
    there = {
        path.relative_to(fixtures.FOLDER).as_posix(): path.read_bytes()
        for path in fixtures.FOLDER.rglob("*")
        if path.is_file()
    }
    assert there == fixtures.contents(), "run: python -m tests.ios_bench.fixtures"


def test_the_record_is_valid_and_read_back():
    path = fixtures.FOLDER / "latency.json"
    assert json_schema.faults(json.loads(path.read_text()), _SCHEMA, _SCHEMA) == []
    assert store.read(path) == (fixtures.full_record(), fixtures.hung_record())


def test_the_schema_finds_a_wrong_record():
    content = json.loads((fixtures.FOLDER / "latency.json").read_text())
    content["records"][0]["latency"]["p50_ms"] = 0
    content["records"][0]["artifact"]["sha256"] = "short"
    content["records"][1]["surprise"] = 1
    assert len(json_schema.faults(content, _SCHEMA, _SCHEMA)) == 3


def test_what_swift_leaves_out_is_unknown_to_python():
    """Swift writes no field for what it does not know."""
    content = json.loads((fixtures.FOLDER / "latency.json").read_text())

    def without_nulls(value):
        if isinstance(value, dict):
            return {k: without_nulls(v) for k, v in value.items() if v is not None}
        return [without_nulls(v) for v in value] if isinstance(value, list) else value

    read = store.from_json(without_nulls(content), where="what Swift writes")
    assert read == (fixtures.full_record(), fixtures.hung_record())


def test_the_golden_pack_is_read_by_python():
    pack = golden.read(fixtures.FOLDER / "golden")
    expected = (fixtures.FOLDER / "golden/expected.nchw.f32").read_bytes()
    assert pack.tensors("NCHW")["face"].astype("<f4").tobytes() == expected


def test_the_package_is_hashed_as_the_manifest_does():
    told = json.loads((fixtures.FOLDER / "package.json").read_text())
    package = fixtures.FOLDER / "sample.package"
    assert told == {"sha256": sha256_of(package), "bytes": size_of(package)}
