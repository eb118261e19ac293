"""The bundle on disk: an ARM program with all its libraries, and what runs it.

It lies in `$XDG_CACHE_HOME/agecompact/arm-bundle/<key>`, `~/.cache` by default. The key is made of
the pins and the C sources, so that a changed pin or source is another bundle.

    bundle.json     versions and hashes
    guest/          the runner, LiteRT, the C library and its loader, for ARM
    plugin.so       counts instructions inside qemu
    qemu/           qemu-aarch64, and those of its libraries that this machine lacks
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from agecompact.checked import Checked, Sha256, Text
from agecompact.errors import BackendMissingError, UsageError
from agecompact.files import pretty_json, read_json, sha256_of, write_text
from agecompact.serialization import structure, unstructure
from android_bench.native import sources

PINS = Path(__file__).with_name("pins.toml")
INDEX = "bundle.json"
GUEST = "guest"
PLUGIN = "plugin.so"
QEMU = "qemu"
LOADER = "ld-linux-aarch64.so.1"
RUNNER = "runner"
LITERT = "libLiteRt.so"

_MAKE = "make arm-bundle"


@dataclass(frozen=True, kw_only=True)
class Index(Checked):
    """`bundle.json`.

    Attributes:
        litert: Version of LiteRT.
        compiler: What compiled the runner.
        guest_sha256: Hash of the guest folder.
        plugin_sha256: Hash of the plugin.
    """

    litert: Text
    compiler: Text
    guest_sha256: Sha256
    plugin_sha256: Sha256


@dataclass(frozen=True)
class Bundle:
    """A bundle that is whole.

    Attributes:
        folder: Where it lies.
        index: What it says of itself.
    """

    folder: Path
    index: Index

    @property
    def guest(self) -> Path:
        """The ARM files: all that a phone needs to run the runner."""
        return self.folder / GUEST

    @property
    def plugin(self) -> Path:
        """The counting plugin."""
        return self.folder / PLUGIN

    @property
    def qemu(self) -> Path:
        """The emulator."""
        return self.folder / QEMU / "qemu-aarch64"

    def environment(self) -> dict[str, str]:
        """The environment of the emulator: only where its own libraries are."""
        return {"LD_LIBRARY_PATH": str(self.folder / QEMU)}


def write_index(folder: Path, *, litert: str, compiler: str) -> None:
    """Says of a bundle what it is, when all else is in place."""
    index = Index(
        litert=litert,
        compiler=compiler,
        guest_sha256=sha256_of(folder / GUEST),
        plugin_sha256=sha256_of(folder / PLUGIN),
    )
    write_text(folder / INDEX, pretty_json(unstructure(index)))


def place(cache: Path | None = None) -> Path:
    """Where the bundle of the present pins and sources lies, or would.

    Args:
        cache: agecompact's cache folder; by default the user's.
    """
    key = hashlib.sha256(PINS.read_bytes() + sources.digest().encode()).hexdigest()[:16]
    return (cache or user_cache()) / "arm-bundle" / key


def user_cache() -> Path:
    """The folder in the user's cache, by the XDG base directory specification."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is to be ignored.
    base = Path(told) if told.startswith("/") else Path.home() / ".cache"
    return base / "agecompact"


def load(cache: Path | None = None) -> Bundle:
    """The bundle of the present pins and sources.

    Args:
        cache: agecompact's cache folder; by default the user's.

    Raises:
        BackendMissingError: It was not made yet, or something in it changed since.
    """
    folder = place(cache)
    if not (folder / INDEX).is_file():
        raise BackendMissingError(
            "no emulated ARM processor here", why=f"there is no bundle in {folder}", fix=_MAKE
        )
    try:
        bundle = opened(folder)
        intact = (
            sha256_of(bundle.guest) == bundle.index.guest_sha256
            and sha256_of(bundle.plugin) == bundle.index.plugin_sha256
            and bundle.qemu.is_file()
        )
    except (UsageError, OSError) as error:
        raise _damaged(folder, str(error)) from None
    if not intact:
        raise _damaged(folder, "its files are not those that were put there")
    return bundle


def opened(folder: Path) -> Bundle:
    """The bundle in a folder, its files not looked at.

    Raises:
        UsageError: Its index cannot be read.
    """
    return Bundle(
        folder,
        structure(
            read_json(folder / INDEX, what="ARM bundle"), Index, where=f"ARM bundle {folder}"
        ),
    )


def _damaged(folder: Path, why: str) -> BackendMissingError:
    return BackendMissingError(
        f"the ARM bundle in {folder} is damaged", why=why, fix=f"rm -r {folder} && {_MAKE}"
    )
