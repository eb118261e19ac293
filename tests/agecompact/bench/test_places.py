"""A place whose backend is missing is an error of that place, whatever else is wrong."""

import stat
import sys

import pytest

from agecompact.bench.drivers import DRIVERS
from agecompact.errors import AgecompactError, ExitCode

NO_DEVICE = "#!/bin/sh\necho 'List of devices attached'\n"
A_DEVICE = "#!/bin/sh\necho 'List of devices attached'; echo 'F00 device model:Fake'\n"


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """A machine without the programs, caches and devices of any place."""
    path = tmp_path / "path"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("ADB", "ANDROID_SERIAL", "AGECOMPACT_BENCH_RUNNER", "AGECOMPACT_BENCH_APP"):
        monkeypatch.delenv(name, raising=False)

    def program(name, text):
        (path / name).write_text(text)
        (path / name).chmod(stat.S_IRWXU)

    return program


@pytest.fixture
def bare(copy_build):
    """A build that no place but the host could measure: no golden pack, no file of theirs."""
    return copy_build("ssrnet", ".onnx").folder


def failed(agecompact, build, *places):
    done = agecompact("bench", build, *(word for place in places for word in ("--on", place)))
    assert done.returncode == ExitCode.ENVIRONMENT, done.stderr
    assert not (build / "latency.json").exists()
    return done.stderr


# Every place but the host, which is always there.
MISSING = {
    "adb": ("error: adb is missing", "fix: apt-get install adb"),
    "adb:F00": ("error: adb is missing", "fix: apt-get install adb"),
    "emulated": ("error: the ARM bundle is missing", "fix: python -m android_bench.emulated"),
    "web": ("error: no Chromium is installed", "fix: apt-get install chromium"),
    "emulated:a53": ("error: the ARM bundle is missing", "fix: python -m android_bench.emulated"),
}
if sys.platform != "darwin":
    not_here = ("error: nothing can be measured here", "Mac")
    MISSING |= dict.fromkeys(("mac", "mac:all", "ios", "ios:a phone/all"), not_here)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("place", MISSING)
def test_a_missing_backend_is_the_error_of_its_place(agecompact, bare, place):
    printed = failed(agecompact, bare, place)
    assert all(words in printed for words in MISSING[place])


def test_no_place_is_left_out_above():
    mac = {"mac", "ios"} if sys.platform == "darwin" else set()
    assert {place.partition(":")[0] for place in MISSING} == set(DRIVERS) - {"host"} - mac


def test_without_a_phone_the_error_is_the_phone(agecompact, bare, planted):
    planted("adb", NO_DEVICE)
    for place in ("adb", "adb:F00"):
        printed = failed(agecompact, bare, place)
        assert "error: no Android device is connected" in printed
        assert "fix: connect one with USB debugging enabled, then run: adb devices" in printed
        assert "ARM" not in printed
    # The group of commands of its own too.
    done = agecompact("bench", "adb", bare)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "error: no Android device is connected" in done.stderr


def test_with_a_phone_the_error_is_what_it_would_run(agecompact, bare, planted):
    planted("adb", A_DEVICE)
    assert "error: the ARM bundle is missing" in failed(agecompact, bare, "adb")


def test_another_serial_is_answered_as_it_is_given(agecompact, bare, planted):
    planted("adb", A_DEVICE)
    done = agecompact("bench", bare, "--on", "adb:F01")
    assert done.returncode == ExitCode.USAGE
    assert "fix: --on adb:F00" in done.stderr


def test_places_are_checked_before_anything_is_measured(agecompact, bare, planted):
    planted("adb", NO_DEVICE)
    assert "no Android device" in failed(agecompact, bare, "host", "adb")


@pytest.mark.parametrize("name", [name for name in DRIVERS if name != "host"])
@pytest.mark.usefixtures("planted")
def test_every_check_can_fail(name):
    with pytest.raises(AgecompactError) as caught:
        DRIVERS[name].available(None)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert caught.value.fix


def test_the_host_says_what_it_is():
    assert "cores" in DRIVERS["host"].available(None)


def test_an_unknown_processor_is_a_usage_error(agecompact, bare):
    done = agecompact("bench", bare, "--on", "emulated:cortex-a99")
    assert done.returncode == ExitCode.USAGE
    assert "cortex-a99" in done.stderr
