"""Core ML on an iPhone or an iPad: an app that measures, driven by `xcrun devicectl`."""

from __future__ import annotations

import os
import plistlib
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build, Entry
from agecompact.bench.circumstances import Machine
from agecompact.bench.record import Artifact, Record
from agecompact.errors import BackendMissingError, UsageError
from ios_bench import packages, parsers, results
from ios_bench.devicectl import Devicectl
from ios_bench.mac import require_macos
from ios_bench.parsers import Device, DeviceError
from ios_bench.settings import Request, Settings, of_device

PROJECT = Path(__file__).parent / "AgecompactApp"
# Names the signed app where it was built elsewhere.
APP_VARIABLE = "AGECOMPACT_BENCH_APP"
_APP = PROJECT / "DerivedData/Build/Products/Release-iphoneos/AgecompactApp.app"

# The app's own watchdog comes first, and knows more.
_GRACE_S = 60.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class App:
    """The app that measures.

    Attributes:
        path: The signed `.app` folder.
        bundle: Its identifier.
    """

    path: Path
    bundle: str


@dataclass(frozen=True)
class Phone:
    """A device with the app on it.

    Attributes:
        device: As `devicectl` tells it.
        app: The app.
        devicectl: The program that drives it.
    """

    device: Device
    app: App
    devicectl: Devicectl

    @property
    def machine(self) -> Machine:
        """The device, as a record holds it."""
        told = self.device
        return Machine(
            # The product settles the chip; devicectl names the architecture alone.
            cpu=" ".join(t for t in (told.cpu, told.product_type) if t) or "unknown",
            os=f"iOS {told.os_version}" if told.os_version else "iOS",
            name=told.marketing_name or told.product_type,
            abi="arm64",
            os_build=told.os_build,
        )

    def measure(self, build: Build, entry: Entry, unit: str, request: Request) -> Record:
        """Measures one package on one compute unit, in a fresh process of the app.

        A device that locks or goes away meanwhile is a record with a reason.
        """
        artifact = packages.described(build, entry)
        try:
            record = self._measured(build, entry, artifact, unit, request)
        except DeviceError as error:
            failure = f"{error.what}: {error.why}".rstrip(": ")
            return results.failed("device", artifact, self.machine, unit, failure)
        return record

    def _measured(
        self, build: Build, entry: Entry, artifact: Artifact, unit: str, request: Request
    ) -> Record:
        # A name of its own: devicectl overwrites nothing, and leaves what was there before.
        job = f"Documents/agecompact-{secrets.token_hex(8)}"
        arguments = [f"{job}/{entry.file}", "--out", f"{job}/record.json", "--compute-unit", unit]
        arguments += ["--runs", str(request.runs), "--warmup", str(request.warmup_runs)]
        arguments += ["--timeout", str(request.timeout_s)]
        with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
            staged = Path(scratch) / "job"
            shutil.copytree(build.path(entry), staged / entry.file)
            if packages.has_golden_pack(build):
                shutil.copytree(build.folder / golden.FOLDER, staged / golden.FOLDER)
                arguments += ["--golden", f"{job}/{golden.FOLDER}"]
            identifier, bundle = self.device.identifier, self.app.bundle
            self.devicectl.copy_to(identifier, bundle, staged, job)
            completed = self.devicectl.launch(
                identifier, bundle, arguments, request.timeout_s + _GRACE_S
            )
            out = Path(scratch) / "record.json"
            try:
                self.devicectl.copy_from(identifier, bundle, f"{job}/record.json", out)
            except DeviceError:
                # Of an app that was killed there is no record to fetch, and how it ended says more.
                if not (completed.timed_out or completed.returncode):
                    raise
            try:
                return _as_told_by(self.machine, results.read(out, artifact, unit))
            except UsageError as problem:
                failure = results.why_none(completed, request.timeout_s, problem)
                return results.failed("device", artifact, self.machine, unit, failure)


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every Core ML package of a build on a device that is connected to this Mac.

    Args:
        build: The build; the error of every output is told if it holds a golden pack.
        settings: Rounds, of 50 inferences each; `place` is `DEVICE[/UNIT,...]`: an identifier, UDID
            or name, the only device there is if it is None, and compute units, all four if none.
        report: Told each package's name as it comes to it.

    Returns:
        A record for each package and compute unit, in that order.

    Raises:
        BackendMissingError: This is no Mac, Xcode is missing, or the app is not built.
        DeviceError: No such device, or it is out of reach, locked or not set up.
        UsageError: The build holds no Core ML package, or a compute unit is unknown.
    """
    request = of_device(settings)
    entries = packages.packages_of(build)
    phone = prepare(request.device)
    records = []
    for entry in entries:
        report(entry.file)
        records += [phone.measure(build, entry, unit, request) for unit in request.compute_units]
    return tuple(records)


def prepare(wanted: str | None, devicectl: Devicectl | None = None) -> Phone:
    """Chooses a device, sees that it can be measured, and installs the app on it.

    Args:
        wanted: Identifier, UDID or name; None for the only one that can be measured.
        devicectl: The program that drives it.

    Raises:
        BackendMissingError: This is no Mac, Xcode is missing, or the app is not built.
        DeviceError: No such device, or it cannot be measured.
    """
    require_macos("a device is driven with Xcode's devicectl", "connect the device to a Mac")
    if shutil.which("xcrun") is None:
        raise BackendMissingError(
            "no device can be driven", why="there is no 'xcrun'", fix="install Xcode 15 or newer"
        )
    app = _app()
    devicectl = devicectl or Devicectl()
    device = choose(devicectl.devices(), wanted)
    if devicectl.locked(device.identifier):
        raise _cannot(device, parsers.LOCKED)
    devicectl.install(device.identifier, app.path)
    return Phone(device, app, devicectl)


def choose(devices: tuple[Device, ...], wanted: str | None) -> Device:
    """The device to measure.

    Args:
        devices: All there are.
        wanted: Identifier, UDID or name; None for the only one that can be measured.

    Raises:
        DeviceError: There is none, or it cannot be measured.
        UsageError: There are several, and none is named.
    """
    if wanted is not None:
        for device in devices:
            if wanted in (device.identifier, device.udid, device.name):
                if (known := parsers.obstacle(device)) is not None:
                    raise _cannot(device, known)
                return device
        raise DeviceError(
            f"no device '{wanted}'",
            why=f"known: {', '.join(d.label for d in devices) or 'none'}",
            fix="xcrun devicectl list devices",
        )
    fit = [device for device in devices if parsers.obstacle(device) is None]
    if len(fit) > 1:
        raise UsageError(
            "several devices are connected",
            why=", ".join(device.label for device in fit),
            fix=f"--on ios:{fit[0].identifier}",
        )
    if fit:
        return fit[0]
    for device in devices:
        known = parsers.obstacle(device)
        if known is not None and not device.simulated:
            raise _cannot(device, known)
    raise DeviceError(
        "no device is connected", why="devicectl lists none", fix="connect an iPhone with a cable"
    )


def _cannot(device: Device, known: parsers.Obstacle) -> DeviceError:
    fix = known.fix.replace("DEVICE", device.identifier)
    return DeviceError(f"cannot measure {device.label}", why=known.why, fix=fix)


def _as_told_by(machine: Machine, record: Record) -> Record:
    # One name for one device, whether the app was reached or not.
    return replace(record, machine=machine)


def _app() -> App:
    path = Path(os.environ.get(APP_VARIABLE, _APP))
    try:
        with (path / "Info.plist").open("rb") as stream:
            return App(path, str(plistlib.load(stream)["CFBundleIdentifier"]))
    except (OSError, KeyError, plistlib.InvalidFileException) as error:
        raise BackendMissingError(
            f"no app at {path}",
            why=str(error),
            fix=f"make bench-ios-app TEAM=... BUNDLE=..., or name a built one in {APP_VARIABLE}",
        ) from None
