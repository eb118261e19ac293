"""Makes the ARM bundle: `make arm-bundle`.

It needs no root: libraries and programs are fetched from Debian and PyPI, pinned by hash, and the
runner is compiled. The bundle is used until a pin or a C source changes.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agecompact.console.common import STDOUT, complain, say, screen
from agecompact.errors import AgecompactError, BackendMissingError, OutputError
from agecompact.files import atomic_path
from agecompact.scratch import scratch_folder
from android_bench.emulated import bundle, cpus, emulator, fetching, pins
from android_bench.emulated.bundle import GUEST, LITERT, PLUGIN, QEMU, RUNNER, Bundle
from android_bench.emulated.debian import Apt, unpack
from android_bench.emulated.pins import Pins
from android_bench.native import sources

Report = Callable[[str], None]

_PROOF_CPU = "cortex-a76"


def ensure(cache: Path | None = None, report: Report = lambda _: None) -> Bundle:
    """Returns the bundle; makes it if it does not exist.

    Args:
        cache: agecompact's cache folder; by default the user's.
        report: Receives a line for each step.

    Raises:
        BackendMissingError: It cannot be made on this machine, or the existing one is damaged.
        OutputError: The cache cannot be written.
    """
    folder = bundle.bundle_folder(cache)
    if not folder.exists():
        _make(folder, report)
    return bundle.load(cache)


def _make(folder: Path, report: Report) -> None:
    if not sys.platform.startswith("linux"):
        raise BackendMissingError(
            "this system cannot emulate ARM processors",
            why="qemu's user mode needs Linux",
            fix="use Debian 12 or its container image, debian:12",
        )
    try:
        with (
            atomic_path(folder) as partial,
            scratch_folder() as scratch,
        ):
            build(partial, scratch, report)
            report("checking that it runs")
            emulator.check(bundle.load_unchecked(partial), cpus.named(_PROOF_CPU))
    except OutputError as error:
        fix = error.fix.replace("with --out", "with XDG_CACHE_HOME")
        raise OutputError(error.what, why=error.why, fix=fix) from error


def build(into: Path, scratch: Path, report: Report) -> None:
    """Builds a bundle.

    Args:
        into: The bundle's folder, made here.
        scratch: An empty folder.
        report: Receives a line for each step.

    Raises:
        BackendMissingError: A part is unavailable.
    """
    pinned = pins.read()
    into.mkdir()
    folders = {name: scratch / name for name in ("guest", "compiler", "qemu")}
    for folder in folders.values():
        folder.mkdir()
    report(f"fetching LiteRT {pinned.wheel.version} and a C library for ARM")
    fetch_guest(into / GUEST, folders["guest"], pinned)
    report("compiling the runner for ARM")
    compiler = fetching.compiler("C", folders["compiler"])
    sources.compile_runner(
        compiler.program, into / GUEST / RUNNER, environment=compiler.environment
    )
    report("compiling the counting plugin")
    sources.compile_plugin(into / PLUGIN)
    report("fetching the emulator")
    _fetch_qemu(into / QEMU, folders["qemu"])
    bundle.write_index(into, litert=pinned.wheel.version, compiler=compiler.version())


def fetch_guest(into: Path, scratch: Path, pinned: Pins) -> None:
    """Fetches the ARM libraries; refuses any file that is not the pinned one.

    Args:
        into: Folder for the libraries, made here.
        scratch: An empty folder.
        pinned: Content of `pins.toml`.

    Raises:
        BackendMissingError: A file is unavailable, or its hash differs.
    """
    into.mkdir()
    names = [f"{pin.name}={pin.version}" for pin in pinned.package]
    files = Apt(scratch).download(names, scratch / "packages")
    for pin, file in zip(pinned.package, files, strict=True):
        pins.check_hash(file, pin.sha256)
        root = scratch / pin.name
        root.mkdir()
        unpack(file, root)
        for name in pin.files:
            shutil.copy(root / "usr/aarch64-linux-gnu/lib" / name, into / name)
    wheel_pin = pinned.wheel
    wheel = fetching.wheel(
        wheel_pin.distribution,
        wheel_pin.version,
        scratch / "wheel",
        python=wheel_pin.python,
        platforms=(wheel_pin.platform,),
    )
    pins.check_hash(wheel, wheel_pin.sha256)
    with zipfile.ZipFile(wheel) as archive:
        (into / LITERT).write_bytes(archive.read(wheel_pin.member))


def _fetch_qemu(into: Path, scratch: Path) -> None:
    """Puts the installed emulator or a fetched one into the bundle."""
    into.mkdir()
    installed = shutil.which("qemu-aarch64")
    if installed is not None:
        shutil.copy(installed, into / "qemu-aarch64")
        return
    root = fetching.programs(("qemu-user",), scratch)
    shutil.copy(root / "usr/bin/qemu-aarch64", into / "qemu-aarch64")
    for folder in fetching.library_folders(root):
        for library in folder.glob("*.so*"):
            if library.is_file():
                shutil.copy(library, into / library.name)


def command(make: Callable[[Report], str]) -> int:
    """Runs what makes tools, with its steps and errors on the screen.

    Args:
        make: Makes them; returns where they are and of which versions.

    Returns:
        The exit code.
    """
    try:
        say(screen(), make(partial(say, screen(STDOUT))))
    except AgecompactError as error:
        complain(error)
        return int(error.exit_code)
    except KeyboardInterrupt:
        say(screen(STDOUT), "interrupted; no partial files were left")
        return 130
    return 0


def _made(report: Report) -> str:
    made = ensure(report=report)
    return f"{made.folder}: LiteRT {made.index.litert}, qemu {emulator.version(made)}"


if __name__ == "__main__":
    sys.exit(command(_made))
