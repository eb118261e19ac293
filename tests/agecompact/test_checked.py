import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from agecompact.checked import Checked, Count, Ms, Sha256, decode, encode
from agecompact.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class _Inner(Checked):
    time_ms: Ms
    count: Count | None = None


@dataclass(frozen=True, kw_only=True)
class _Outer(Checked):
    kind: Literal["a", "b"]
    items: tuple[_Inner, ...] = ()
    by_name: Mapping[str, Count] | None = None
    sha256: Sha256 | None = None
    flag: bool | None = None


_GOOD = {
    "kind": "a",
    "items": [{"time_ms": 2, "count": None}, {"time_ms": 2.5, "count": 0}],
    "by_name": {"ADD": 1},
    "sha256": "0" * 64,
    "flag": False,
}


def test_what_was_written_reads_back():
    value = decode(_Outer, _GOOD)
    assert value.items == (_Inner(time_ms=2.0), _Inner(time_ms=2.5, count=0))
    assert encode(value) == _GOOD


def test_a_field_left_out_is_unknown():
    assert decode(_Outer, {"kind": "b"}) == _Outer(kind="b")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"colour": "red"}, "unknown fields"),
        ({"kind": "c"}, "known: a, b"),
        ({"kind": None}, "known: a, b"),
        ({"items": {"time_ms": 1}}, "it should be a list"),
        ({"items": [1]}, r"_Outer.items\[0\] is 1"),
        ({"items": [{}]}, "lacks fields"),
        ({"items": [{"time_ms": "2"}]}, "'2'"),
        ({"items": [{"time_ms": True}]}, "True"),
        ({"items": [{"time_ms": 0}]}, "null if unknown"),
        ({"items": [{"time_ms": float("nan")}]}, "nan"),
        ({"items": [{"time_ms": float("inf")}]}, "inf"),
        ({"items": [{"time_ms": 1, "count": 1.0}]}, "should be int"),
        ({"items": [{"time_ms": 1, "count": -1}]}, "less than 0"),
        ({"by_name": ["ADD"]}, "it should be an object"),
        ({"by_name": {"ADD": None}}, "None"),
        ({"sha256": "0" * 63}, "does not match"),
        ({"sha256": "0" * 64 + "\n"}, "does not match"),
        ({"flag": 1}, "should be bool"),
    ],
)
def test_anything_else_is_refused(changed, told):
    with pytest.raises(UsageError) as refused:
        decode(_Outer, {**_GOOD, **changed})
    message = f"{refused.value.what} {refused.value.why}"
    assert re.search(told, message), message


def test_a_wrong_field_is_refused_in_python_as_well():
    with pytest.raises(UsageError, match="items is"):
        _Outer(kind="a", items=[_Inner(time_ms=1.0)])
    with pytest.raises(UsageError, match="time_ms is 0"):
        _Inner(time_ms=0.0)
