"""Packages that are pinned by hash, because instruction counts depend on every byte of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import BackendMissingError
from agecompact.files import sha256_of
from agecompact.serialization import read_toml, structure

FILE = Path(__file__).with_name("pins.toml")


@dataclass(frozen=True)
class PackagePin:
    """A Debian package, and the libraries that are taken from it."""

    name: str
    version: str
    sha256: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class WheelPin:
    """A Python wheel for ARM, and the library that is taken from it, `member`."""

    distribution: str
    version: str
    python: str
    platform: str
    sha256: str
    member: str


@dataclass(frozen=True)
class Pins:
    """Content of `pins.toml`."""

    package: tuple[PackagePin, ...]
    wheel: WheelPin


def read() -> Pins:
    """Reads `pins.toml`."""
    return structure(read_toml(FILE, what="pins"), Pins, where=str(FILE))


def check_hash(path: Path, sha256: str) -> None:
    """Refuses a file that is not the pinned one.

    Raises:
        BackendMissingError: Its hash differs.
    """
    actual = sha256_of(path)
    if actual != sha256:
        raise BackendMissingError(
            f"{path.name} is not the pinned file",
            why=f"its sha256 is {actual}, not {sha256}",
            fix="nothing of it was kept; if it was meant to change, change its pin",
        )
