"""Core ML on an iPhone or an iPad: an app that measures, driven by `xcrun devicectl`."""

from __future__ import annotations

import os
import plistlib
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Machine
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import BuildFile, described
from agecompact.bench.record import Record
from agecompact.errors import BackendMissingError, UsageError
from agecompact.scratch import scratch_folder
from ios_bench import packages, parsers, results
from ios_bench.devicectl import Devicectl
from ios_bench.mac import require_macos
from ios_bench.parsers import Device, DeviceError
from ios_bench.settings import Request, of_device

PROJECT = Path(__file__).parent / "AgecompactApp"
# Path of a signed app that was built elsewhere.
APP_VARIABLE = "AGECOMPACT_BENCH_APP"
_APP = PROJECT / "DerivedData/Build/Products/Release-iphoneos/AgecompactApp.app"

# The app's own watchdog should fire first, since it reports more.
_GRACE_S = 60.0


@dataclass(frozen=True)
class App:
    """The app that measures.

    Attributes:
        path: The signed `.app` folder.
        bundle: Its bundle identifier.
    """

    path: Path
    bundle: str


@dataclass(frozen=True)
class Phone:
    """A device with the app installed.

    Attributes:
        device: The device as `devicectl` lists it.
        app: The app.
        devicectl: Runs `devicectl`.
    """

    device: Device
    app: App
    devicectl: Devicectl

    @property
    def machine(self) -> Machine:
        """The device as a record holds it."""
        device = self.device
        return Machine(
            # devicectl reports only the architecture; the product type identifies the chip.
            cpu=" ".join(t for t in (device.cpu, device.product_type) if t) or "unknown",
            os=f"iOS {device.os_version}" if device.os_version else "iOS",
            name=device.marketing_name or device.product_type,
            abi="arm64",
            os_build=device.os_build,
        )

    def measure(self, build: Build, file: BuildFile, unit: str, request: Request) -> Record:
        """Measures one package on one compute unit, in a new process of the app.

        A device that locks or disconnects meanwhile gives a record with its `failure`.
        """
        blank = results.blank("device", described(file), self.machine, unit)
        try:
            return self._measured(build, file, blank, unit, request)
        except DeviceError as error:
            return replace(blank, failure=f"{error.what}: {error.why}".rstrip(": "))

    def _measured(
        self, build: Build, file: BuildFile, blank: Record, unit: str, request: Request
    ) -> Record:
        # A new name each time, since devicectl does not overwrite folders.
        job = f"Documents/agecompact-{secrets.token_hex(8)}"
        package, record = f"{job}/{file.path.name}", f"{job}/record.json"
        identifier, bundle = self.device.identifier, self.app.bundle
        with scratch_folder() as scratch:
            staged = scratch / "job"
            shutil.copytree(file.path, staged / file.path.name)
            pack = packages.golden_pack_of(build)
            if pack:
                shutil.copytree(pack, staged / golden.FOLDER)
            arguments = request.arguments(
                package, unit, out=record, golden=f"{job}/{golden.FOLDER}" if pack else None
            )
            self.devicectl.copy("to", identifier, bundle, staged, job)
            completed = self.devicectl.launch(
                identifier, bundle, arguments, request.timeout_s + _GRACE_S
            )
            out = scratch / "record.json"
            try:
                self.devicectl.copy("from", identifier, bundle, record, out)
            except DeviceError:
                # An app that was killed leaves no record, and how it ended says more.
                if not (completed.timed_out or completed.returncode):
                    raise
            result = results.of_run(blank, out, completed, request.timeout_s)
            # The machine as devicectl names it, so that failures and results are of one device.
            return replace(result, machine=self.machine)


def available(place: str | None) -> str:
    """The device to measure.

    Args:
        place: `DEVICE[/UNIT,...]`; None for the only device, and all compute units.

    Raises:
        BackendMissingError: This is not a Mac, Xcode is missing, or the app is not built.
        DeviceError: There is no such device, or it cannot be measured.
        UsageError: Several devices can be measured, and none is named; or an unknown compute unit.
    """
    phone = _ready(of_device(Settings(place=place)).device)
    return f"{phone.device.label}, {phone.machine.os}"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every Core ML package of a build on a device connected to this Mac.

    Args:
        build: The build; outputs are compared if it holds a golden pack.
        settings: `rounds`, of 50 inferences each; `place` is `DEVICE[/UNIT,...]`: an identifier,
            UDID or name, the only device if None; and compute units, all four without any.
        report: Called with each package's name when it has been measured.

    Returns:
        A record for each package and compute unit, in that order.

    Raises:
        BackendMissingError: This is not a Mac, Xcode is missing, or the app is not built.
        DeviceError: There is no such device, or it is unreachable, locked or not set up.
        UsageError: The build holds no Core ML package, or a compute unit is unknown.
    """
    request = of_device(settings)
    files = packages.packages_of(build)
    phone = prepare(request.device)
    records = []
    for file in files:
        records += [phone.measure(build, file, unit, request) for unit in request.compute_units]
        report(file.path.name)
    return tuple(records)


def prepare(wanted: str | None) -> Phone:
    """Chooses a device, checks that it can be measured, and installs the app.

    Args:
        wanted: Identifier, UDID or name; None for the only device that can be measured.

    Raises:
        BackendMissingError: This is not a Mac, Xcode is missing, or the app is not built.
        DeviceError: There is no such device, or it cannot be measured.
    """
    phone = _ready(wanted)
    phone.devicectl.install(phone.device.identifier, phone.app.path)
    return phone


def _ready(wanted: str | None) -> Phone:
    """The device with that name, before anything is installed on it."""
    require_macos("devices are driven with Xcode's devicectl", "connect the device to a Mac")
    if shutil.which("xcrun") is None:
        raise BackendMissingError(
            "no device can be driven", why="there is no 'xcrun'", fix="install Xcode 15 or newer"
        )
    app = _app()
    devicectl = Devicectl()
    device = choose(devicectl.devices(), wanted)
    if devicectl.locked(device.identifier):
        raise _cannot_measure(device, parsers.LOCKED)
    return Phone(device, app, devicectl)


def choose(devices: tuple[Device, ...], wanted: str | None) -> Device:
    """Returns the device to measure.

    Args:
        devices: All devices.
        wanted: Identifier, UDID or name; None for the only device that can be measured.

    Raises:
        DeviceError: There is no such device, or it cannot be measured.
        UsageError: Several devices can be measured, and none is named.
    """
    if wanted is not None:
        for device in devices:
            if wanted in (device.identifier, device.udid, device.name):
                if (known := parsers.obstacle(device)) is not None:
                    raise _cannot_measure(device, known)
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
            raise _cannot_measure(device, known)
    raise DeviceError(
        "no device is connected", why="devicectl lists none", fix="connect an iPhone with a cable"
    )


def _cannot_measure(device: Device, known: parsers.Obstacle) -> DeviceError:
    fix = known.fix.replace("DEVICE", device.identifier)
    return DeviceError(f"cannot measure {device.label}", why=known.why, fix=fix)


def _app() -> App:
    path = Path(os.environ.get(APP_VARIABLE, _APP))
    try:
        with (path / "Info.plist").open("rb") as stream:
            return App(path, str(plistlib.load(stream)["CFBundleIdentifier"]))
    except (OSError, KeyError, plistlib.InvalidFileException) as error:
        raise BackendMissingError(
            f"no app at {path}",
            why=str(error),
            fix=f"make bench-ios-app TEAM=... BUNDLE=..., or set {APP_VARIABLE} to a built app",
        ) from None
