"""Wheels for ARM, and programs of Debian with the parts that this machine lacks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact import children
from agecompact.errors import BackendMissingError
from agecompact.imports import module_command
from android_bench.emulated.debian import Apt, unpack

Language = Literal["C", "C++"]

# The compiler only recommends the C library's headers.
_COMPILERS: Mapping[Language, tuple[str, tuple[str, ...]]] = {
    "C": ("aarch64-linux-gnu-gcc", ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross")),
    "C++": ("aarch64-linux-gnu-g++", ("g++-aarch64-linux-gnu", "libc6-dev-arm64-cross")),
}
INSTALL = "apt-get install qemu-user g++-aarch64-linux-gnu libc6-dev-arm64-cross"


@dataclass(frozen=True)
class Compiler:
    """A compiler for ARM.

    Attributes:
        program: Its path.
        environment: Environment variables that it needs; None for those of this process.
    """

    program: str
    environment: Mapping[str, str] | None

    def version(self) -> str:
        """Its name and version."""
        done = children.run([self.program, "--version"], env=self.environment, timeout_s=60)
        return done.stdout.splitlines()[0]


def wheel(
    distribution: str, version: str, into: Path, *, python: str, platforms: Sequence[str]
) -> Path:
    """Downloads a wheel from pip's index.

    Args:
        distribution: Its name.
        version: Its version.
        into: Folder for the file, which may not exist yet.
        python: Version of Python, such as `3.11`.
        platforms: Tags of the platforms that it may be for.

    Raises:
        BackendMissingError: The index has none, or cannot be reached.
    """
    command = [*module_command("pip"), "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(into)]
    command += ["--python-version", python]
    for platform in platforms:
        command += ["--platform", platform]
    wanted = f"{distribution}=={version}"
    done = children.run([*command, wanted], timeout_s=600)
    files = sorted(into.glob(f"{distribution.replace('-', '_')}-*.whl"))
    if done.returncode != 0 or not files:
        raise BackendMissingError(
            f"cannot download {wanted} for ARM",
            why=done.stderr.strip()[-500:],
            fix="check the network connection and pip's index",
        )
    return files[0]


def compiler(language: Language, scratch: Path) -> Compiler:
    """The installed compiler for ARM, or a fetched one.

    Args:
        language: What it compiles.
        scratch: An empty folder, which a fetched one needs as long as it is used.

    Raises:
        BackendMissingError: There is none, and Debian's packages are unavailable.
    """
    name, packages = _COMPILERS[language]
    if (installed := shutil.which(name)) is not None:
        return Compiler(installed, None)
    root = programs(packages, scratch)
    for script in (root / "usr/aarch64-linux-gnu/lib").glob("*.so"):
        # The C library's linker script names its parts where an installed package has them.
        if not script.is_symlink() and b"GNU ld script" in (text := script.read_bytes()):
            script.write_bytes(text.replace(b"/usr/aarch64-linux-gnu/lib/", b""))
    folder = root / "usr/bin"
    found = sorted(folder.glob(f"{name}-[0-9]*"))
    if not found:
        raise BackendMissingError(f"Debian's packages hold no {name}", fix=INSTALL)
    libraries = ":".join(map(str, library_folders(root)))
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "LD_LIBRARY_PATH": libraries}
    return Compiler(str(found[0]), environment)


def programs(packages: Sequence[str], scratch: Path) -> Path:
    """Unpacks packages and the dependencies that this machine lacks; returns their root folder.

    Raises:
        BackendMissingError: They are unavailable.
    """
    root = scratch / "root"
    root.mkdir()
    try:
        apt = Apt(scratch)
        for file in apt.download(apt.missing(packages), scratch / "packages"):
            unpack(file, root)
    except BackendMissingError as error:
        why = f"{error.what} {error.why}"
        raise BackendMissingError(f"cannot get {packages[0]}", why=why, fix=INSTALL) from None
    return root


def library_folders(root: Path) -> list[Path]:
    """Where packages that are unpacked into a folder have their libraries."""
    return [p for pattern in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu") for p in root.glob(pattern)]
