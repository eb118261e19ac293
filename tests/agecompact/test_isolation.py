"""A function on foreign data that crashes, hangs, floods or allocates is only a failure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agecompact.errors import UsageError
from agecompact.isolation import IsolationFailure, call

_LIMITS: dict[str, Any] = {"seconds": 20, "memory_bytes": 200_000_000}


def test_the_result_comes_back_as_json_values(tmp_path: Path) -> None:
    assert call("os.path:join", tmp_path, "a", **_LIMITS) == str(tmp_path / "a")


def test_an_error_for_users_is_raised_unchanged() -> None:
    with pytest.raises(UsageError) as caught:
        call("agecompact.contract:Crop", "face", 2.0, **_LIMITS)
    assert caught.value.what == "crop 'face' is not a box inside the face chip"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("function", "argument", "kind", "reason"),
    [
        ("math:sqrt", -1, "error", "ValueError: math domain error"),
        ("os:_exit", 3, "crash", "exit code 3"),
        ("signal:raise_signal", 11, "crash", "SIGSEGV"),
        ("sys:exit", "bye", "crash", "bye"),
    ],
)
def test_failures_have_a_kind_and_a_reason(
    function: str, argument: object, kind: str, reason: str
) -> None:
    with pytest.raises(IsolationFailure, match=reason) as caught:
        call(function, argument, **_LIMITS)
    assert caught.value.kind == kind


def test_a_function_that_takes_too_long_is_ended() -> None:
    with pytest.raises(IsolationFailure, match=r"longer than 0\.5 s") as caught:
        call("time:sleep", 60, seconds=0.5, memory_bytes=200_000_000)
    assert caught.value.kind == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_function_that_allocates_too_much_fails() -> None:
    with pytest.raises(IsolationFailure, match="more than 200 MB") as caught:
        call("builtins:bytearray", 400_000_000, **_LIMITS)
    assert caught.value.kind == "memory"


def test_what_the_function_prints_is_not_its_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("builtins:print", "noise", **_LIMITS) is None
    assert capfd.readouterr() == ("", "")
