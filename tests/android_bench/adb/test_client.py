"""Which device, which adb, and what its words mean; the adb here is a fake."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agecompact.errors import BackendMissingError, UsageError
from android_bench.adb import client, devices, program
from android_bench.adb.client import connect
from android_bench.adb.failure import AdbFailure, kind_of

_LISTED = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
1A2B3C4D               device usb:1-2 product:oriole model:Pixel_6 device:oriole transport_id:1
R58M                   unauthorized usb:1-3 transport_id:2
emulator-5554          offline transport_id:3
0123                   no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]
192.168.0.7:5555       recovery product:x model:y
"""


def test_devices_and_their_states():
    found = devices.parse(_LISTED)
    assert [(d.serial, d.state) for d in found] == [
        ("1A2B3C4D", "device"),
        ("R58M", "unauthorized"),
        ("emulator-5554", "offline"),
        ("0123", "no permissions"),
        ("192.168.0.7:5555", "recovery"),
    ]
    assert found[0].model == "Pixel_6"


def test_the_only_usable_device_is_meant():
    assert devices.choose(devices.parse(_LISTED), None).serial == "1A2B3C4D"


@pytest.mark.parametrize(
    ("serial", "kind"),
    [
        ("R58M", "unauthorised"),
        ("emulator-5554", "offline"),
        ("0123", "no-permission"),
        ("192.168.0.7:5555", "offline"),
    ],
)
def test_a_device_that_cannot_be_used_says_why_and_what_mends_it(serial, kind):
    with pytest.raises(AdbFailure) as caught:
        devices.choose(devices.parse(_LISTED), serial)
    assert caught.value.kind == kind
    assert caught.value.fix
    assert caught.value.exit_code == 3


def test_several_devices_need_a_serial():
    both = devices.parse("A device model:x\nB device model:y\n")
    with pytest.raises(UsageError, match="more than one") as caught:
        devices.choose(both, None)
    assert "--serial A" in caught.value.fix
    assert devices.choose(both, "B").serial == "B"
    with pytest.raises(UsageError, match="no device 'C'"):
        devices.choose(both, "C")


def test_no_device_at_all():
    with pytest.raises(AdbFailure, match="no Android device"):
        devices.choose((), None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("error: device 'X' not found", "gone"),
        ("adb: error: failed to get feature set: no devices/emulators found", "gone"),
        ("error: device offline", "offline"),
        (
            "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set",
            "unauthorised",
        ),
        ("error: insufficient permissions for device: user in plugdev group", "no-permission"),
        (
            "adb: error: failed to copy 'a' to 'b': remote write failed: No space left on device",
            "no-space",
        ),
        ("adb: error: failed to copy 'a' to 'b': couldn't read from device", "gone"),
        ("sh: nosuch: not found", None),
    ],
)
def test_words_of_adb(message, kind):
    assert kind_of(message) == kind


def test_the_program_that_the_user_has_comes_first(tmp_path, folder_adb):
    path = str(folder_adb.program.parent)
    assert program.find({"PATH": path}) == folder_adb.program
    assert program.find({"PATH": "/nowhere", "ADB": str(folder_adb.program)}) == folder_adb.program
    with pytest.raises(BackendMissingError, match="ADB names"):
        program.find({"PATH": path, "ADB": str(tmp_path / "nosuch")})


def test_without_any_adb_the_fix_is_a_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BackendMissingError) as caught:
        program.find({"PATH": "/nowhere"})
    assert "apt-get install adb" in caught.value.fix


def test_the_unauthorised_device_is_told_before_anything_is_pushed(folder_adb):
    folder_adb.lists("F00 unauthorized usb:1-1")
    with pytest.raises(AdbFailure) as caught:
        connect(folder_adb.program, None)
    assert caught.value.kind == "unauthorised"
    assert "Allow USB debugging" in caught.value.fix


def test_a_device_that_asks_midway_is_no_failed_command(folder_adb):
    opened = connect(folder_adb.program, None)
    folder_adb.says("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set")
    with pytest.raises(AdbFailure) as caught:
        opened.shell("true")
    assert caught.value.kind == "unauthorised"


def test_the_exit_code_is_the_commands_and_not_adbs(folder_adb):
    ran = folder_adb.client().shell("echo out; echo err >&2; exit 7")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (7, "out\n", "err\n")


def test_output_without_a_last_newline_is_told_as_it_is(folder_adb):
    assert folder_adb.client().shell("printf abc").stdout == "abc"


def test_a_terminal_of_an_old_device_changes_no_exit_code(folder_adb, tmp_path):
    old = tmp_path / "old-adb"
    old.write_text(f"#!/bin/sh\n'{folder_adb.program}' \"$@\" 2>&1 | sed 's/$/\\r/'\nexit 0\n")
    old.chmod(0o755)
    ran = client.Client(old, "F00").shell("echo one; echo two; exit 3")
    assert (ran.exit_code, ran.stdout) == (3, "one\ntwo\n")


def test_a_failed_command_says_what_it_said(folder_adb):
    with pytest.raises(AdbFailure, match="failed on F00") as caught:
        folder_adb.client().check("ls /nosuchfolder")
    assert caught.value.kind == "command-failed"
    assert "nosuchfolder" in caught.value.reason


def test_a_shell_that_dies_is_no_success(folder_adb):
    with pytest.raises(AdbFailure, match="cut off") as caught:
        folder_adb.client().shell("kill -9 $$")
    assert caught.value.kind == "command-failed"


def test_a_command_that_goes_on_is_a_timeout(folder_adb):
    with pytest.raises(AdbFailure) as caught:
        folder_adb.client().shell("exec sleep 30", timeout_s=0.3)
    assert caught.value.kind == "timeout"


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="\0\n\r"), min_size=1))
def test_words_reach_the_devices_shell_whole(word):
    printed = subprocess.run(
        ["sh", "-c", client.quoted(["printf", "%s", word])],
        capture_output=True,
        check=True,
    )
    assert printed.stdout == word.encode()
