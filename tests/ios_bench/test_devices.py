"""The driver of devices, on saved output of devicectl, with every failure that is known."""

import json
import plistlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agecompact.bench.drivers import Settings
from agecompact.bench.validity import validated
from agecompact.errors import BackendMissingError, ExitCode, UsageError
from agecompact.formats import COMPUTE_UNITS
from ios_bench import devices, parsers, tool
from ios_bench.devicectl import Devicectl
from ios_bench.parsers import DeviceError
from tests.ios_bench import fake_runner
from tests.ios_bench.conftest import DATA

PHONE = "00000001-0000-5000-8000-000000000000"
BUNDLE = "dev.example.bench"
_SETTINGS = Settings(place=PHONE)
_NO_FILE = {
    "device copy from": '{"error": {"userInfo": {"NSLocalizedDescription":'
    ' {"string": "no such file"}}}, "info": {"outcome": "failed"}}'
}
# The result of a command that returns nothing.
_SUCCESS = '{"info": {"outcome": "success"}, "result": {}}'


@dataclass
class Phone:
    """`xcrun devicectl` with one phone.

    Attributes:
        container: Folder of the app's container.
        answers: JSON that a command returns instead of success, by its first words.
        launch: How the app ends; None lets it measure.
        calls: Arguments of every call so far.
    """

    container: Path
    answers: dict[str, str] = field(default_factory=dict)
    launch: tool.Completed | None = None
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, command, timeout_s):
        assert command[:2] == ["xcrun", "devicectl"]
        assert 0 < timeout_s < 1000
        words = list(command[2:])
        self.calls.append(words)
        if words[:3] == ["device", "process", "launch"]:
            return self.launch or self._app(words)
        answer = next((a for n, a in self.answers.items() if " ".join(words).startswith(n)), None)
        if answer == "hangs":
            return tool.Completed(-9, timed_out=True)
        if answer is not None and answer.startswith("ERROR"):
            return tool.Completed(1, stderr=answer)
        if answer is None:
            self._copy(words)
        Path(words[words.index("--json-output") + 1]).write_text(answer or _SUCCESS)
        return tool.Completed(1 if answer and '"failed"' in answer else 0)

    def _copy(self, words):
        if words[:2] == ["device", "copy"]:
            options = dict(zip(words[3::2], words[4::2], strict=True))
            assert options["--domain-type"] == "appDataContainer"
            assert options["--domain-identifier"] == BUNDLE
            if words[2] == "to":
                target = self.container / options["--destination"]
                assert not target.exists()
                shutil.copytree(options["--source"], target)
            else:
                shutil.copyfile(self.container / options["--source"], options["--destination"])

    def _app(self, words):
        assert words[3:8] == ["--device", PHONE, "--console", "--terminate-existing", BUNDLE]
        package, *rest = words[8:]
        options = dict(zip(rest[::2], rest[1::2], strict=True))
        assert (self.container / options["--golden"] / "golden.json").is_file()
        record = fake_runner.record_of(
            self.container / package, options["--compute-unit"], source="device"
        )
        fake_runner.write(self.container / options["--out"], record)
        return tool.Completed(0)


@pytest.fixture
def phone(request, tmp_path, saved, monkeypatch):
    """A phone that can be measured, and the app for it."""
    request.getfixturevalue("on_a_mac")
    app = tmp_path / "AgecompactApp.app"
    app.mkdir()
    (app / "Info.plist").write_bytes(plistlib.dumps({"CFBundleIdentifier": BUNDLE}))
    monkeypatch.setenv(devices.APP_VARIABLE, str(app))
    made = Phone(tmp_path / "container", {"list devices": saved("devicectl_list_v2.json")})
    monkeypatch.setattr(devices, "Devicectl", lambda: Devicectl(made))
    return made


def test_measures_every_package_on_every_unit(phone, build):
    records = devices.measure_build(build, _SETTINGS)
    assert [(r.artifact.precision, r.runtime.delegate.asked) for r in records] == [
        (precision, unit) for precision in ("float32", "float16") for unit in COMPUTE_UNITS
    ]
    for record in records:
        assert record.failure is None
        assert record.source == "device"
        assert record.machine.name == "iPhone 15 Pro"
        assert record.machine.cpu == "arm64e iPhone16,1"
        assert record.machine.os_build == "21F90"
    assert [call[:3] for call in phone.calls[:3]] == [
        ["list", "devices", "--json-output"],
        ["device", "info", "lockState"],
        ["device", "install", "app"],
    ]


def test_it_is_found_without_installing_anything(phone):
    assert devices.available(None) == f"Bench phone ({PHONE}), iOS 17.5.1"
    assert not [call for call in phone.calls if "install" in call]
    with pytest.raises(DeviceError, match="no device 'Nobody'"):
        devices.available("Nobody/cpuOnly")


def test_each_run_has_its_own_folder(phone, build):
    devices.measure_build(build, Settings(place=f"{PHONE}/cpuOnly"))
    assert len(list((phone.container / "Documents").iterdir())) == 2


@pytest.fixture
def listed(saved):
    return parsers.parse_devices(saved("devicectl_list_v2.json"))


@pytest.mark.parametrize("wanted", [PHONE, "00008130-0000000000000001", "Bench phone", None])
def test_a_device_is_found_by_any_of_its_names_or_as_the_only_one(listed, wanted):
    assert devices.choose(listed, wanted).identifier == PHONE


@pytest.mark.parametrize(
    ("wanted", "why", "fix"),
    [
        ("Drawer tablet", "cannot be reached", "cable"),
        ("Borrowed phone", "does not trust", "--device 00000004-"),
        ("New phone", "Developer Mode is off", "Privacy & Security"),
        ("A watch", "watchOS", "choose an iPhone"),
    ],
)
def test_a_device_that_cannot_be_measured_is_refused(listed, wanted, why, fix):
    with pytest.raises(DeviceError, match=wanted) as caught:
        devices.choose(listed, wanted)
    assert why in caught.value.why
    assert fix in caught.value.fix
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


def test_one_of_several_devices_must_be_named(listed):
    with pytest.raises(UsageError, match="several devices") as caught:
        devices.choose((listed[0], listed[0]), None)
    assert caught.value.fix == f"--on ios:{PHONE}"


def test_no_usable_device_is_an_error(listed, saved):
    with pytest.raises(DeviceError, match="no device is connected"):
        devices.choose((), None)
    simulator = parsers.parse_devices(saved("devicectl_list_v5.json"))[1:]
    with pytest.raises(DeviceError, match="no device is connected"):
        devices.choose(simulator, None)
    with pytest.raises(DeviceError, match="Drawer tablet"):
        devices.choose(listed[2:], None)
    with pytest.raises(DeviceError, match="no device 'Nobody'") as caught:
        devices.choose(listed, "Nobody")
    assert "Bench phone" in caught.value.why


def test_a_locked_phone_is_refused(phone, build, saved):
    phone.answers["device info lockState"] = saved("devicectl_lock_state.json")
    with pytest.raises(DeviceError) as caught:
        devices.measure_build(build, _SETTINGS)
    assert caught.value.why == "it is locked"
    assert not any("install" in call for call in phone.calls)


def test_an_unknown_lock_state_is_ignored(phone, build, saved):
    phone.answers["device info lockState"] = saved("devicectl_not_found.json")
    assert devices.measure_build(build, Settings(place=f"{PHONE}/cpuOnly"))[0].failure is None


def test_a_refused_install_is_an_error(phone, build, saved):
    phone.answers["device install"] = saved("devicectl_unpaired.json")
    with pytest.raises(DeviceError, match="does not trust this Mac"):
        devices.measure_build(build, _SETTINGS)


@pytest.mark.parametrize(
    ("answers", "launch", "failure"),
    [
        ({"device copy to": "devicectl_gone.json"}, None, "it was disconnected"),
        ({"device copy from": "devicectl_gone.json"}, None, "it was disconnected"),
        ({"device copy to": "hangs"}, None, "does not answer: nothing within 120 s"),
        ({}, "launch_locked.txt", "the device refused: it is locked"),
        (_NO_FILE, tool.Completed(-9, timed_out=True), "no answer within 300 s"),
        (_NO_FILE, tool.Completed(1, stderr="App terminated due to signal 9.\n"), "signal 9"),
        (_NO_FILE, tool.Completed(0), "the device refused: no such file"),
    ],
)
def test_a_failure_during_the_measurement_is_a_record(phone, build, answers, launch, failure):
    phone.answers |= {command: _saved_or(answer) for command, answer in answers.items()}
    if isinstance(launch, str):
        launch = tool.Completed(1, stderr=(DATA / launch).read_text())
    phone.launch = launch
    record = devices.measure_build(build, Settings(place=f"{PHONE}/all"))[0]
    assert record.failure is not None
    assert failure in record.failure
    assert record.machine.name == "iPhone 15 Pro"
    assert [reason.rule for reason in validated(record).reasons] == ["not-measured"]


def _saved_or(answer):
    path = DATA / answer
    return path.read_text() if path.is_file() else answer


def test_a_truncated_list_of_devices_is_an_error(phone, build, saved):
    phone.answers["list devices"] = saved("devicectl_list_v2.json")[:400]
    with pytest.raises(DeviceError, match="cannot be read"):
        devices.measure_build(build, _SETTINGS)


def test_a_missing_devicectl_is_an_error(phone, build):
    words = 'ERROR: unable to find utility "devicectl", not a developer tool or in PATH\n'
    phone.answers["list devices"] = words
    with pytest.raises(DeviceError) as caught:
        devices.measure_build(build, _SETTINGS)
    assert "unable to find utility" in caught.value.why


@pytest.mark.usefixtures("phone")
@pytest.mark.parametrize("app", ["none.app", "without-an-identifier.app"])
def test_a_missing_or_broken_app_is_an_error(build, monkeypatch, tmp_path, app):
    (tmp_path / "without-an-identifier.app").mkdir()
    (tmp_path / "without-an-identifier.app/Info.plist").write_bytes(plistlib.dumps({}))
    monkeypatch.setenv(devices.APP_VARIABLE, str(tmp_path / app))
    with pytest.raises(BackendMissingError, match="no app") as caught:
        devices.measure_build(build, _SETTINGS)
    assert "bench-ios-app" in caught.value.fix


def test_every_saved_output_has_an_origin():
    origin = (DATA / "ORIGIN.md").read_text()
    names = [path.name for path in DATA.iterdir() if path.name != "ORIGIN.md"]
    assert [name for name in names if f"`{name}`" not in origin] == []
    for path in DATA.glob("*.json"):
        json.loads(path.read_text())
