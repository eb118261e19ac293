"""Checks of the Swift package that need no compiler."""

import json
import re

import pytest

from agecompact.bench import schema, validity
from tests.ios_bench import swift_source
from tests.ios_bench.swift_source import CORE, PACKAGE, ROOT

_SCHEMA = json.loads(schema.PATH.read_text())
_FILES = swift_source.swift_files()
_RECORD_FILES = ("Record", "Artifact", "Machine", "Figures", "ForeignFigures")
_PLAIN = {"integer": "Int", "number": "Double", "string": "String", "boolean": "Bool"}
# Swift's names of the schema's enums, which have none there.
_ENUMS = {
    ("Record", "source"): "Source",
    ("Thermal", "status"): "ThermalStatus",
}
# Swift only passes this one on, so that a new format needs no change there.
_TEXT = ("Artifact", "format")


def _swift_types():
    sources = [(CORE / f"{name}.swift").read_bytes() for name in _RECORD_FILES]
    return {name: t for source in sources for name, t in swift_source.types_of(source).items()}


_TYPES = _swift_types()


def _swift_type(schema, place):
    if "anyOf" in schema:
        (inner,) = (arm for arm in schema["anyOf"] if arm != {"type": "null"})
        return f"{_swift_type(inner, place)}?"
    if "enum" in schema:
        return "String" if place == _TEXT else _ENUMS[place]
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema["type"] == "array":
        return f"[{_swift_type(schema['items'], place)}]"
    if schema["type"] == "object":
        return f"[String: {_swift_type(schema['additionalProperties'], place)}]"
    return _PLAIN[schema["type"]]


def test_there_are_swift_files():
    assert len(_FILES) > 30


@pytest.mark.parametrize("path", _FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_its_syntax_is_valid(path):
    assert swift_source.faults(path.read_bytes()) == []


@pytest.mark.parametrize("path", _FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_missing_brace_is_found(path):
    source = path.read_bytes().rstrip()
    broken = (
        source[: source.rindex(b"}")] + source[source.rindex(b"}") + 1 :]
        if b"}" in source
        else b"{"
    )
    assert swift_source.faults(broken)


@pytest.mark.parametrize("name", _SCHEMA["$defs"])
def test_the_swift_record_agrees_with_the_schema(name):
    expected = {
        key: _swift_type(schema, (name, key))
        for key, schema in _SCHEMA["$defs"][name]["properties"].items()
    }
    assert _TYPES[name].properties == expected


@pytest.mark.parametrize(("place", "name"), _ENUMS.items(), ids=str)
def test_the_swift_enums_agree_with_the_schema(place, name):
    kind, key = place
    schema = _SCHEMA["$defs"][kind]["properties"][key]
    values = schema["enum"] if "enum" in schema else schema["anyOf"][0]["enum"]
    assert sorted(_TYPES[name].cases) == sorted(values)


def test_every_enum_of_the_schema_is_known():
    text = json.dumps(_SCHEMA["$defs"])
    assert text.count('"enum"') == len({*_ENUMS, _TEXT})


def test_the_schema_versions_agree():
    version = _SCHEMA["properties"]["schema_version"]["const"]
    constants = swift_source.constants_of((CORE / "RecordFile.swift").read_bytes())
    assert int(constants["schemaVersion"]) == version


@pytest.mark.parametrize(
    ("swift", "python"),
    [
        ("minTimedRuns", validity.MIN_TIMED_RUNS),
        ("minWarmupRuns", validity.MIN_WARMUP_RUNS),
        ("maxDeviceSpread", validity.MAX_DEVICE_SPREAD),
    ],
)
def test_the_notes_have_the_bounds_of_the_rules(swift, python):
    constants = swift_source.constants_of((CORE / "Validity.swift").read_bytes())
    assert float(constants[swift]) == python


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"elapsed_s"', b'"elapsed_ms"'),
        (b"public var p90Ms: Double?", b"public var p90Ms: Int?"),
    ],
)
def test_a_changed_key_or_type_is_found(old, new):
    source = (CORE / "Figures.swift").read_bytes()
    assert old in source
    broken = swift_source.types_of(source.replace(old, new))
    assert broken["Latency"].properties != _TYPES["Latency"].properties


def test_a_property_without_a_key_is_found():
    source = (CORE / "Figures.swift").read_bytes()
    with pytest.raises(AssertionError):
        swift_source.types_of(source.replace(b'        case samplesMs = "samples_ms"\n', b""))


def test_every_newer_interface_is_listed():
    """What is missing on the oldest supported system is checked for."""
    found = {
        path.name: versions
        for path in _FILES
        if "fake_coreml" not in path.parts
        if (versions := swift_source.availabilities(path.read_bytes()))
    }
    core_ai = {"iOS 27.0, macOS 27.0, *"}
    assert found == {
        "ComputePlan.swift": {"iOS 17.4, macOS 14.4, *"},
        "CoreAIBenchmark.swift": core_ai,
        "CoreAIModel.swift": core_ai,
    }
    readme = (ROOT / "ios_bench/README.md").read_text()
    assert "`MLComputePlan` (iOS 17.4, macOS 14.4)" in readme
    assert "Core AI (iOS 27, macOS 27)" in readme


def test_every_interface_of_core_ai_is_marked_with_its_system():
    """Xcode would refuse any that is not, and there is none here."""
    mark = "@available(iOS 27.0, macOS 27.0, *)\n"
    code = (PACKAGE / "Sources/BenchCoreML/CoreAIModel.swift").read_text()
    outer = re.findall(r"^(?:extension|struct|enum|func|class) .*", code, re.MULTILINE)
    assert len(outer) == 2
    assert all(f"{mark}{declaration}" in code for declaration in outer)
    used = (PACKAGE / "Sources/BenchCoreML/CoreAIBenchmark.swift").read_text()
    before, _, rest = used.partition("    private func measureCoreAI")
    assert before.endswith(f"    {mark}")
    assert "CoreAIModel" in rest
    assert "CoreAIModel" not in before


def test_swift_reads_the_metadata_of_core_ai_models_where_python_does():
    source = (CORE / "ModelPackage.swift").read_text()
    python = (ROOT / "agecompact/runtimes/coreai.py").read_text()
    for name in ('"metadata.json"', "creatorDefinedMetadata"):
        assert name in source
        assert name in python


def test_the_core_needs_only_foundation():
    imports = {
        line.split()[1]
        for path in CORE.glob("*.swift")
        for line in path.read_text().splitlines()
        if line.startswith("import ")
    }
    assert imports <= {"Foundation", "Dispatch"}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("Sources/*/*.swift")), ids=lambda p: p.name)
def test_library_code_forces_no_try_cast_or_unwrap(path):
    code = re.sub(r'"(?:\\.|[^"\\])*"|//[^\n]*', "", path.read_text())
    assert not re.search(r"\btry!|\bas!|[\w\])]!(?!=)", code)


def test_files_are_small():
    assert {p.name: n for p in _FILES if (n := len(p.read_text().splitlines())) >= 300} == {}


def test_core_ml_is_imported_conditionally():
    for path in (PACKAGE / "Sources/BenchCoreML").glob("*.swift"):
        text = path.read_text()
        assert "import CoreML" not in text or text.startswith("#if canImport(CoreML)"), path
        assert "import CoreAI" not in text or text.startswith("#if canImport(CoreAI)"), path
