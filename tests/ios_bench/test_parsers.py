import json

import pytest

from agecompact.errors import ExitCode
from ios_bench import parsers
from ios_bench.parsers import DeviceError


def test_devices_of_xcode_15(saved):
    phone, watch, *_, old = parsers.parse_devices(saved("devicectl_list_v2.json"))
    assert phone.name == "Bench phone"
    assert phone.marketing_name == "iPhone 15 Pro"
    assert phone.product_type == "iPhone16,1"
    assert (phone.os_version, phone.os_build, phone.cpu) == ("17.5.1", "21F90", "arm64e")
    assert parsers.obstacle(phone) is None
    assert watch.cpu is None
    assert parsers.obstacle(old).why == "it cannot be reached"


def test_devices_of_xcode_27_and_its_simulators(saved):
    phone, simulator = parsers.parse_devices(saved("devicectl_list_v5.json"))
    assert phone.name == "Bench phone", "the deprecated form is ignored"
    assert (phone.os_version, phone.os_build) == ("27.0", "24A434")
    assert phone.connection == "connected"
    assert phone.developer_mode == "enabled"
    assert parsers.obstacle(phone) is None
    assert simulator.simulated
    assert "simulator" in parsers.obstacle(simulator).why


def test_both_forms_of_xcode_27_agree(saved):
    content = json.loads(saved("devicectl_list_v5.json"))
    both = parsers.parse_devices(json.dumps(content))[0]
    entry = content["result"]["devices"][0]
    content["result"]["devices"] = [{k: entry[k] for k in ("identifier", "properties")}]
    assert parsers.parse_devices(json.dumps(content)) == (both,)


def test_the_lock_state_of_a_phone(saved):
    assert parsers.parse_locked(saved("devicectl_lock_state.json")) is True
    assert parsers.parse_locked('{"result": {"passcodeRequired": false}}') is False
    assert parsers.parse_locked('{"result": {}}') is None


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("devicectl_not_found.json", "cannot be reached", "cable"),
        ("devicectl_gone.json", "was disconnected", "cable"),
        ("devicectl_unpaired.json", "does not trust this Mac", "manage pair"),
        ("devicectl_no_developer_mode.json", "Developer Mode is off", "Privacy & Security"),
    ],
)
def test_a_known_failure_has_a_reason_and_a_fix(saved, name, what, fix):
    with pytest.raises(DeviceError, match=what) as caught:
        parsers.parse_result(saved(name))
    assert fix in caught.value.fix
    assert caught.value.why
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


def test_a_failed_launch_on_a_locked_phone(saved):
    error = parsers.explained(tuple(saved("launch_locked.txt").splitlines()))
    assert error.what == "the device refused: it is locked"


def test_an_unknown_failure_keeps_its_message():
    error = parsers.explained(("Something new.",))
    assert error.why == "Something new."


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.99])
def test_truncated_json_is_an_error(saved, kept):
    text = saved("devicectl_list_v2.json").rstrip()
    with pytest.raises(DeviceError, match="cannot be read"):
        parsers.parse_devices(text[: int(kept * len(text))])


@pytest.mark.parametrize("text", ["[]", "{}", '{"result": []}', '{"result": {}}', "null"])
def test_json_of_another_form_is_an_error(text):
    with pytest.raises(DeviceError):
        parsers.parse_devices(text)


@pytest.mark.parametrize(
    "entry", [{"identifier": ""}, {"identifier": 5}, {"hardwareProperties": {"udid": "x"}}]
)
def test_an_entry_without_identifier_is_ignored(entry):
    assert parsers.parse_devices(json.dumps({"result": {"devices": [entry]}})) == ()


def test_fields_of_a_wrong_type_are_unknown():
    entry = {
        "identifier": "A",
        "hardwareProperties": ["bad"],
        "deviceProperties": {"name": 5, "osVersionNumber": 17},
        "connectionProperties": None,
        "properties": None,
    }
    (device,) = parsers.parse_devices(json.dumps({"result": {"devices": [entry]}}))
    assert device == parsers.Device("A")


def test_a_failed_outcome_without_an_error():
    with pytest.raises(DeviceError, match="refused") as caught:
        parsers.parse_result('{"info": {"outcome": "failed"}}')
    assert "does not say why" in caught.value.why
