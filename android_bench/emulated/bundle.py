"""The ARM bundle on disk: the runner with all its libraries, and the emulator that runs it.

It is in `$XDG_CACHE_HOME/agecompact/arm-bundle/<key>`, `~/.cache` by default. The key is a hash of
the pins and the C sources, so a change to either needs another bundle.

    bundle.json     versions and hashes
    guest/          the runner, LiteRT, the C library and its loader, for ARM
    plugin.so       counts instructions inside qemu
    qemu/           qemu-aarch64 and the libraries that this machine lacks
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from agecompact.checked import Checked, Sha256, Text
from agecompact.errors import BackendMissingError, UsageError
from agecompact.files import sha256_of, user_cache
from agecompact.serialization import read_versioned, write_versioned
from android_bench.emulated import pins
from android_bench.native import sources

INDEX = "bundle.json"
GUEST = "guest"
PLUGIN = "plugin.so"
QEMU = "qemu"
LOADER = "ld-linux-aarch64.so.1"
RUNNER = "runner"
LITERT = "libLiteRt.so"

_MAKE = "python -m android_bench.emulated.make_bundle"


@dataclass(frozen=True, kw_only=True)
class BundleIndex(Checked):
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
    """A complete bundle.

    Attributes:
        folder: Where it is.
        index: Its versions and hashes.
    """

    folder: Path
    index: BundleIndex

    @property
    def guest(self) -> Path:
        """The ARM files: everything that a phone needs to run the runner."""
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
        """Environment variables of the emulator: only where its libraries are."""
        return {"LD_LIBRARY_PATH": str(self.folder / QEMU)}


def write_index(folder: Path, *, litert: str, compiler: str) -> None:
    """Writes `bundle.json`, once all other files are in place."""
    index = BundleIndex(
        litert=litert,
        compiler=compiler,
        guest_sha256=sha256_of(folder / GUEST),
        plugin_sha256=sha256_of(folder / PLUGIN),
    )
    write_versioned(folder / INDEX, index)


def bundle_folder(cache: Path | None = None) -> Path:
    """Folder of the bundle for the current pins and sources, which may not exist yet.

    Args:
        cache: agecompact's cache folder; by default the user's.
    """
    key = hashlib.sha256(pins.FILE.read_bytes() + sources.digest().encode()).hexdigest()[:16]
    return (cache or user_cache()) / "arm-bundle" / key


def load(cache: Path | None = None) -> Bundle:
    """The bundle for the current pins and sources, with its hashes checked.

    Args:
        cache: agecompact's cache folder; by default the user's.

    Raises:
        BackendMissingError: It was not made yet, or a file in it has changed.
    """
    folder = bundle_folder(cache)
    if not (folder / INDEX).is_file():
        raise BackendMissingError(
            "the ARM bundle is missing", why=f"there is none in {folder}", fix=_MAKE
        )
    try:
        bundle = load_unchecked(folder)
        intact = (
            sha256_of(bundle.guest) == bundle.index.guest_sha256
            and sha256_of(bundle.plugin) == bundle.index.plugin_sha256
            and bundle.qemu.is_file()
        )
        why = "" if intact else "its files have changed since it was made"
    except (UsageError, OSError) as error:
        why = str(error)
    if why:
        raise BackendMissingError(
            f"the ARM bundle in {folder} is damaged", why=why, fix=f"rm -r {folder} && {_MAKE}"
        )
    return bundle


def load_unchecked(folder: Path) -> Bundle:
    """The bundle in a folder, without checking its files.

    Raises:
        UsageError: `bundle.json` cannot be read.
    """
    return Bundle(folder, read_versioned(folder / INDEX, BundleIndex, what="ARM bundle"))
