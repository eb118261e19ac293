"""JSON and TOML are read strictly: an error names the invalid field."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agecompact.checked import Checked, Count, Ms, Sha256
from agecompact.errors import UsageError
from agecompact.files import json_value
from agecompact.serialization import (
    parse_json,
    parse_toml,
    read_toml,
    read_versioned,
    structure,
    unstructure,
    write_versioned,
)


@dataclass(frozen=True, kw_only=True)
class _Inner(Checked):
    time_ms: Ms
    count: Count | None = None


@dataclass(frozen=True)
class _Versioned:
    SCHEMA_VERSION: ClassVar[int] = 3

    mean: tuple[float, float]
    place: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Outer(Checked):
    kind: Literal["a", "b"]
    items: tuple[_Inner, ...] = ()
    by_name: Mapping[str, Count] | None = None
    sha256: Sha256 | None = None
    flag: bool | None = None
    part: _Versioned | None = None


_GOOD = {
    "kind": "a",
    "items": [{"time_ms": 2, "count": None}, {"time_ms": 2.5, "count": 0}],
    "by_name": {"ADD": 1},
    "sha256": "0" * 64,
    "flag": False,
    "part": {"schema_version": 3, "mean": [1, 2], "place": "a/b"},
}


def test_a_dataclass_reads_back_from_its_json() -> None:
    value = structure(_GOOD, _Outer, where="test")
    assert value.items == (_Inner(time_ms=2.0), _Inner(time_ms=2.5, count=0))
    assert value.part == _Versioned((1.0, 2.0), Path("a/b"))
    assert unstructure(value) == _GOOD


def test_a_missing_field_has_its_default() -> None:
    assert structure({"kind": "b"}, _Outer, where="test") == _Outer(kind="b")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"colour": "red"}, "unknown fields: colour"),
        ({"kind": "c"}, "none of a, b at kind"),
        ({"kind": None}, "none of a, b"),
        ({"items": {"time_ms": 1}}, "not a list at items"),
        ({"items": "ab"}, "not a list at items"),
        ({"items": [1]}, r"1 is not an object at items\[0\]"),
        ({"items": [{}]}, r"a field is missing at items\[0\]\.time_ms"),
        ({"items": [{"time_ms": "2"}]}, r"'2' is not a number at items\[0\]\.time_ms"),
        ({"items": [{"time_ms": True}]}, "True is not a number"),
        ({"items": [{"time_ms": 0}]}, "null if unknown"),
        ({"items": [{"time_ms": float("nan")}]}, "nan is not a number"),
        ({"items": [{"time_ms": float("inf")}]}, "inf is not a number"),
        ({"items": [{"time_ms": 10**400}]}, "too large"),
        ({"items": [{"time_ms": 1, "count": 1.0}]}, "not an integer"),
        ({"items": [{"time_ms": 1, "count": -1}]}, "less than 0"),
        ({"by_name": ["ADD"]}, "not an object at by_name"),
        ({"by_name": {"ADD": None}}, "None is not an integer"),
        ({"sha256": "0" * 63}, "does not match"),
        ({"sha256": "0" * 64 + "\n"}, "does not match"),
        ({"flag": 1}, "not true or false"),
        ({"part": {"mean": [1, 2]}}, "schema version None, this agecompact reads version 3"),
        ({"part": {"schema_version": True, "mean": [1, 2]}}, "schema version True"),
        ({"part": {"schema_version": 3, "mean": [1]}}, "not a list of 2 at part.mean"),
        ({"part": {"schema_version": 3, "mean": [1, 2], "place": ""}}, "not a path"),
    ],
)
def test_an_invalid_field_is_named(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match="cannot read test") as rejected:
        structure({**_GOOD, **changed}, _Outer, where="test")
    assert re.search(reason, rejected.value.why), rejected.value.why


def test_invalid_fields_are_rejected_on_construction_too() -> None:
    with pytest.raises(UsageError, match="items is"):
        _Outer(kind="a", items=[_Inner(time_ms=1.0)])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="time_ms is 0"):
        _Inner(time_ms=0.0)


def test_at_most_five_errors_are_listed() -> None:
    items = [{"time_ms": "2"}] * 7
    with pytest.raises(UsageError) as rejected:
        structure({"kind": "a", "items": items}, _Outer, where="test", fix="measure again")
    assert rejected.value.why.count("not a number") == 5
    assert rejected.value.why.endswith("and 2 more")
    assert rejected.value.fix == "measure again"


def test_a_file_of_another_version_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_versioned(path, _Versioned((0.5, 1.0)))
    assert json.loads(path.read_text())["schema_version"] == 3
    assert read_versioned(path, _Versioned, what="test file") == _Versioned((0.5, 1.0))
    path.write_text('{"schema_version": 2, "other": 1}')
    with pytest.raises(UsageError, match="cannot read test file") as rejected:
        read_versioned(path, _Versioned, what="test file", fix="make it again")
    assert rejected.value.why == "it has schema version 2, this agecompact reads version 3"
    assert rejected.value.fix == "make it again"
    for text in ("[]", "[" * 100_000, "9" * 5000):
        path.write_text(text)
        with pytest.raises(UsageError, match="cannot read test file"):
            read_versioned(path, _Versioned, what="test file")
    with pytest.raises(UsageError, match="no test file at") as missing:
        read_versioned(tmp_path / "gone.json", _Versioned, what="test file", fix="make it")
    assert missing.value.fix == "make it"


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, '{"kind": NaN}', "null"])
def test_text_of_something_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_json(text, _Outer, where="test")


def test_toml_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for content in (b"a = ", b"\xff", b"a = " + b"9" * 5000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="cannot read settings"):
            read_toml(path, what="settings")
    with pytest.raises(UsageError, match="no settings at"):
        read_toml(tmp_path / "gone.toml", what="settings")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*_GOOD, "colour"]), _JSON))
def test_any_json_reads_or_is_a_usage_error(changed: dict[str, object]) -> None:
    try:
        value = structure({**_GOOD, **changed}, _Outer, where="test")
    except UsageError:
        return
    assert structure(unstructure(value), _Outer, where="test") == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 60 + "]" * 60, "nested more than 50 levels deep"),
        ("[" * 50_000, "recursion"),
        ('{"a": NaN}', "not a finite number"),
        ("[-Infinity]", "not a finite number"),
        ("[1e999]", "not a finite number"),
        ("9" * 5000, "4300 digits"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        (r'["\ud800"]', "surrogates"),
        ('"\udcff"', "invalid start byte"),
    ],
)
def test_json_that_could_not_be_written_again_is_refused(text: str, reason: str) -> None:
    with pytest.raises((ValueError, RecursionError), match=reason):
        json_value(text.encode("utf-8", "surrogateescape"))


def test_other_json_is_as_json_reads_it() -> None:
    text = r'{"a": [1, 2.5, -0.0, null, true, "\ud83d\ude00 ☃"], "b": {}}'
    assert json_value(text) == json.loads(text)


@pytest.mark.parametrize("value", ["nan", "-inf", "1979-05-27", "07:32:00", "[" * 60 + "]" * 60])
def test_toml_that_could_not_be_written_as_json_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"finite|date|nested"):
        parse_toml(f"[table]\nkey = {value}")
