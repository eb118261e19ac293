"""Debian's adb and adbd, unpacked into agecompact's cache without root."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.files import atomic_path, user_cache
from agecompact.serialization import read_toml, structure
from android_bench.emulated import debian
from android_bench.emulated.debian import Apt
from android_bench.emulated.pins import PackagePin, check_hash

_FILE = Path(__file__).with_name("packages.toml")


@dataclass(frozen=True)
class Side:
    """The packages of the client or of the daemon."""

    package: tuple[PackagePin, ...]
    unpinned: tuple[str, ...]


def fetch(cache: Path | None = None) -> Path:
    """The folder with `client` and `daemon`; fetched if it does not exist.

    Args:
        cache: agecompact's cache folder; by default the user's.

    Raises:
        BackendMissingError: The packages are unavailable.
    """
    key = hashlib.sha256(_FILE.read_bytes()).hexdigest()[:16]
    folder = (cache or user_cache()) / "adb-loopback" / key
    if not folder.exists():
        with atomic_path(folder) as partial, tempfile.TemporaryDirectory() as scratch:
            _fetch(partial, Path(scratch))
    return folder


def _fetch(into: Path, scratch: Path) -> None:
    apt = Apt(scratch)
    apt.use_own_lists(_sources(scratch))
    for name, content in read_toml(_FILE, what="packages").items():
        side = structure(content, Side, where=f"{_FILE}: {name}")
        pinned = [f"{pin.name}={pin.version}" for pin in side.package]
        files = apt.download([*pinned, *side.unpinned], scratch / name)
        for pin, file in zip(side.package, files, strict=False):
            check_hash(file, pin.sha256)
        (into / name).mkdir(parents=True)
        for file in files:
            debian.unpack(file, into / name)


def _sources(scratch: Path) -> Path:
    """A sources file of Debian 12 and its backports, from this machine's mirror of Debian."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    uris = debian.run(command, scratch).splitlines()
    mirrors = [uri for uri in uris if uri.rstrip("/").endswith("/debian")]
    if not mirrors:
        raise BackendMissingError(
            "this machine has no Debian mirror in its sources",
            why="adbd is a Debian package",
            fix="use Debian 12 or its container image, debian:12",
        )
    sources = scratch / "debian.sources"
    sources.write_text(
        f"Types: deb\nURIs: {mirrors[0]}\nSuites: bookworm bookworm-backports\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    return sources


if __name__ == "__main__":
    try:
        print(fetch())
    except AgecompactError as missing:
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(int(missing.exit_code))
