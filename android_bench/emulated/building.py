"""Makes a bundle: fetches what is pinned, compiles the rest. Needs no root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agecompact.errors import BackendMissingError
from agecompact.files import sha256_of
from android_bench.emulated import stored
from android_bench.emulated.debian import Apt, unpack
from android_bench.native import sources

Say = Callable[[str], None]

_COMPILER = "aarch64-linux-gnu-gcc"
# Besides what it depends on: the C library's headers are only recommended.
_COMPILER_PACKAGES = ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross")
_INSTALL = "apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross"


def fetch_guest(into: Path, scratch: Path, pins: Mapping[str, Any]) -> None:
    """Fetches the libraries that the emulated phone runs, and refuses any other than the pinned.

    Args:
        into: Folder for the libraries, made here.
        scratch: An empty folder.
        pins: Content of `pins.toml`.

    Raises:
        BackendMissingError: Something cannot be had, or its hash is another.
    """
    into.mkdir()
    packages = pins["package"]
    files = Apt(scratch).download([f"{p['name']}={p['version']}" for p in packages])
    for pin, file in zip(packages, files, strict=True):
        check_hash(file, pin["sha256"])
        root = scratch / pin["name"]
        root.mkdir()
        unpack(file, root)
        for name in pin["files"]:
            shutil.copy(root / "usr/aarch64-linux-gnu/lib" / name, into / name)
    wheel = _download_wheel(scratch / "wheel", pins["wheel"])
    check_hash(wheel, pins["wheel"]["sha256"])
    with zipfile.ZipFile(wheel) as archive:
        (into / stored.LITERT).write_bytes(archive.read(pins["wheel"]["member"]))


def check_hash(path: Path, sha256: str) -> None:
    """Refuses a file that is not the pinned one.

    Raises:
        BackendMissingError: Its hash is another.
    """
    found = sha256_of(path)
    if found != sha256:
        raise BackendMissingError(
            f"{path.name} is not the file that instruction counts were pinned to",
            why=f"its sha256 is {found}, not {sha256}",
            fix=f"nothing was kept of it; see {stored.PINS.name} if it was meant to change",
        )


def _download_wheel(into: Path, pin: Mapping[str, str]) -> Path:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(into)]
    command += ["--python-version", pin["python"], "--platform", pin["platform"]]
    wanted = f"{pin['distribution']}=={pin['version']}"
    done = subprocess.run(
        [*command, wanted], capture_output=True, text=True, check=False, timeout=600
    )
    found = sorted(into.glob("*.whl"))
    if done.returncode != 0 or not found:
        raise BackendMissingError(
            f"cannot download {wanted} for ARM",
            why=done.stderr.strip()[-500:],
            fix="check the network, and pip's index",
        )
    return found[0]


def compile_guest(out: Path, scratch: Path) -> str:
    """Compiles the runner for ARM, with a compiler of this machine or one fetched for it.

    Args:
        out: The program to write.
        scratch: An empty folder.

    Returns:
        What compiled it.

    Raises:
        BackendMissingError: There is no such compiler, or it refused.
    """
    found = shutil.which(_COMPILER)
    compiler, environment = [found or ""], None
    if found is None:
        compiler, environment = _fetch_compiler(scratch)
    sources.compile_runner(compiler, out, environment=environment)
    told = subprocess.run(
        [compiler[0], "--version"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return told.stdout.splitlines()[0]


def _fetch_compiler(scratch: Path) -> tuple[list[str], dict[str, str]]:
    root = _fetch_programs(_COMPILER_PACKAGES, scratch)
    for script in (root / "usr/aarch64-linux-gnu/lib").glob("*.so"):
        # The C library's linker script names its parts where a package would put them.
        if not script.is_symlink() and b"GNU ld script" in (text := script.read_bytes()):
            script.write_bytes(text.replace(b"/usr/aarch64-linux-gnu/lib/", b""))
    programs = root / "usr/bin"
    compiler = next((p for p in sorted(programs.glob(f"{_COMPILER}-[0-9]*"))), None)
    if compiler is None:
        raise BackendMissingError(f"no {_COMPILER} in Debian's packages", fix=_INSTALL)
    path = f"{programs}:/usr/bin:/bin"
    return [str(compiler)], {"PATH": path, "LD_LIBRARY_PATH": ":".join(map(str, _libraries(root)))}


def fetch_qemu(into: Path, scratch: Path) -> None:
    """Puts the emulator into the bundle: this machine's own, or one fetched for it.

    Args:
        into: Folder for it, made here.
        scratch: An empty folder.

    Raises:
        BackendMissingError: It cannot be had.
    """
    into.mkdir()
    found = shutil.which("qemu-aarch64")
    if found is not None:
        shutil.copy(found, into / "qemu-aarch64")
        return
    root = _fetch_programs(("qemu-user",), scratch)
    shutil.copy(root / "usr/bin/qemu-aarch64", into / "qemu-aarch64")
    for folder in _libraries(root):
        for library in folder.glob("*.so*"):
            if library.is_file():
                shutil.copy(library, into / library.name)


def _fetch_programs(packages: Sequence[str], scratch: Path) -> Path:
    try:
        apt = Apt(scratch)
        files = apt.download(apt.needed(packages))
        root = scratch / "root"
        root.mkdir()
        for file in files:
            unpack(file, root)
    except BackendMissingError as error:
        raise BackendMissingError(
            f"cannot get {packages[0]}", why=f"{error.what} {error.why}", fix=_INSTALL
        ) from None
    return root


def _libraries(root: Path) -> list[Path]:
    return [p for pattern in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu") for p in root.glob(pattern)]


def build(into: Path, scratch: Path, say: Say) -> None:
    """Makes a bundle.

    Args:
        into: The bundle's folder, made here.
        scratch: An empty folder.
        say: Told of each step.

    Raises:
        BackendMissingError: A part cannot be had here.
    """
    content = stored.PINS.read_bytes()
    pins = tomllib.loads(content.decode())
    into.mkdir()
    steps = {name: scratch / name for name in ("guest", "compiler", "qemu")}
    for folder in steps.values():
        folder.mkdir()
    say(f"fetching LiteRT {pins['wheel']['version']} and a C library for ARM")
    fetch_guest(into / stored.GUEST, steps["guest"], pins)
    say("compiling the runner for ARM")
    compiler = compile_guest(into / stored.GUEST / stored.RUNNER, steps["compiler"])
    say("compiling the counting plugin")
    sources.compile_plugin(("gcc",), into / stored.PLUGIN)
    say("fetching the emulator")
    fetch_qemu(into / stored.QEMU, steps["qemu"])
    stored.write_index(into, litert=pins["wheel"]["version"], compiler=compiler)
