"""The fixtures of the Swift tests are up to date, and Python reads them."""

import json

from jsonschema import Draft202012Validator

from agecompact.artifacts import golden
from agecompact.bench import schema, store
from agecompact.files import sha256_of, size_of
from tests.ios_bench import fixtures


def test_the_fixtures_are_up_to_date():
    on_disk = {
        path.relative_to(fixtures.FOLDER).as_posix(): path.read_bytes()
        for path in fixtures.FOLDER.rglob("*")
        if path.is_file()
    }
    assert on_disk == fixtures.contents(), "run: python -m tests.ios_bench.fixtures"


def test_the_records_conform_and_read_back():
    path = fixtures.FOLDER / "latency.json"
    Draft202012Validator(schema.generate()).validate(json.loads(path.read_text()))
    assert store.read(path) == (fixtures.full_record(), fixtures.hung_record())


def test_fields_that_swift_omits_are_unknown(tmp_path):
    content = json.loads((fixtures.FOLDER / "latency.json").read_text())

    def without_nulls(value):
        if isinstance(value, dict):
            return {k: without_nulls(v) for k, v in value.items() if v is not None}
        return [without_nulls(v) for v in value] if isinstance(value, list) else value

    path = tmp_path / "latency.json"
    path.write_text(json.dumps(without_nulls(content)))
    assert store.read(path) == (fixtures.full_record(), fixtures.hung_record())


def test_python_reads_the_golden_pack():
    pack = golden.read(fixtures.FOLDER / "golden")
    expected = (fixtures.FOLDER / "golden/expected.nchw.f32").read_bytes()
    assert pack.tensors("NCHW")["face"].astype("<f4").tobytes() == expected


def test_the_package_is_hashed_as_in_the_manifest():
    expected = json.loads((fixtures.FOLDER / "package.json").read_text())
    package = fixtures.FOLDER / "sample.package"
    assert expected == {"sha256": sha256_of(package), "bytes": size_of(package)}
