"""Finding adb, choosing the device, and adb's messages, with a fake adb."""

import pytest

from agecompact.errors import BackendMissingError, UsageError
from android_bench.adb import client, device_list, program
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
4567                   no permissions; see [http://x]
192.168.0.7:5555       recovery product:x model:y
"""
_UNAUTHORIZED = "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set"


def test_devices_and_their_states():
    devices = device_list.parse(_LISTED)
    assert [(d.serial, d.state) for d in devices] == [
        ("1A2B3C4D", "device"),
        ("R58M", "unauthorized"),
        ("emulator-5554", "offline"),
        ("0123", "no permissions"),
        ("4567", "no permissions"),
        ("192.168.0.7:5555", "recovery"),
    ]


def test_the_only_ready_device_is_chosen():
    assert device_list.choose(device_list.parse(_LISTED), None).serial == "1A2B3C4D"


@pytest.mark.parametrize(
    ("serial", "kind"),
    [
        ("R58M", "unauthorised"),
        ("emulator-5554", "offline"),
        ("0123", "no-permission"),
        ("192.168.0.7:5555", "offline"),
    ],
)
def test_a_device_that_is_not_ready_has_a_reason_and_a_fix(folder_adb, serial, kind):
    folder_adb.set_devices(*_LISTED.splitlines())
    with pytest.raises(AdbFailure) as caught:
        connect(folder_adb.program, serial)
    assert caught.value.kind == kind
    assert caught.value.fix
    assert caught.value.exit_code == 3


def test_several_devices_need_a_serial():
    both = device_list.parse("A device model:x\nB device model:y\n")
    with pytest.raises(UsageError, match="more than one") as caught:
        device_list.choose(both, None)
    assert "--on adb:A" in caught.value.fix
    assert device_list.choose(both, "B").serial == "B"
    with pytest.raises(UsageError, match="no device 'C'"):
        device_list.choose(both, "C")


def test_no_device_at_all():
    with pytest.raises(AdbFailure, match="no Android device"):
        device_list.choose((), None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("error: device 'X' not found", "gone"),
        ("adb: error: failed to get feature set: no devices/emulators found", "gone"),
        ("error: device offline", "offline"),
        (_UNAUTHORIZED, "unauthorised"),
        ("error: insufficient permissions for device: user in plugdev group", "no-permission"),
        (
            "adb: error: failed to copy 'a': remote write failed: No space left on device",
            "no-space",
        ),
        ("adb: error: failed to copy 'a' to 'b': couldn't read from device", "gone"),
        ("sh: nosuch: not found", None),
    ],
)
def test_messages_of_adb(message, kind):
    assert kind_of(message) == kind


def test_the_users_adb_comes_first(tmp_path, folder_adb):
    path = str(folder_adb.program.parent)
    assert program.find({"PATH": path}) == folder_adb.program
    assert program.find({"PATH": "/nowhere", "ADB": str(folder_adb.program)}) == folder_adb.program
    with pytest.raises(BackendMissingError, match="ADB names"):
        program.find({"PATH": path, "ADB": str(tmp_path / "nosuch")})


def test_without_adb_the_fix_is_a_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BackendMissingError) as caught:
        program.find({"PATH": "/nowhere"})
    assert "apt-get install adb" in caught.value.fix


def test_a_device_that_becomes_unauthorised_is_not_a_failed_command(folder_adb):
    connected = connect(folder_adb.program, None)
    folder_adb.fail_with(_UNAUTHORIZED)
    with pytest.raises(AdbFailure) as caught:
        connected.shell("true")
    assert caught.value.kind == "unauthorised"


def test_the_exit_code_is_the_commands_and_not_adbs(folder_adb):
    result = folder_adb.client().shell("echo out; echo err >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_output_without_a_final_newline_is_unchanged(folder_adb):
    assert folder_adb.client().shell("printf abc").stdout == "abc"


def test_the_terminal_of_an_old_device_does_not_hide_the_exit_code(folder_adb, tmp_path):
    old = tmp_path / "old-adb"
    old.write_text(f"#!/bin/sh\n'{folder_adb.program}' \"$@\" 2>&1 | sed 's/$/\\r/'\nexit 0\n")
    old.chmod(0o755)
    result = client.Client(old, "F00").shell("echo one; echo two; exit 3")
    assert (result.exit_code, result.stdout) == (3, "one\ntwo\n")


def test_a_failed_command_is_reported_with_its_message(folder_adb):
    with pytest.raises(AdbFailure, match="failed on F00") as caught:
        folder_adb.client().check("ls /nosuchfolder")
    assert caught.value.kind == "command-failed"
    assert "nosuchfolder" in caught.value.reason


def test_a_shell_that_is_killed_is_a_failure(folder_adb):
    with pytest.raises(AdbFailure, match="cut off") as caught:
        folder_adb.client().shell("kill -9 $$")
    assert caught.value.kind == "command-failed"


def test_a_command_that_does_not_end_is_a_timeout(folder_adb):
    with pytest.raises(AdbFailure) as caught:
        folder_adb.client().shell("exec sleep 30", timeout_s=0.3)
    assert caught.value.kind == "timeout"
