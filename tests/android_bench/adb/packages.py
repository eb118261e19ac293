"""Debian's adb and adbd, unpacked into agecompact's cache; no root is needed.

apt checks the signatures. Android's own packages are pinned by hash as well: the client is what
`apt-get install adb` gives a user of Debian 12, the daemon its backport. Of the libraries besides,
the newest of Debian 12 will do.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.files import atomic_path, sha256_of
from android_bench.emulated.debian import unpack
from android_bench.emulated.stored import user_cache


@dataclass(frozen=True)
class Pin:
    """A package that must be this very one."""

    name: str
    version: str
    sha256: str


_BORINGSSL = Pin(
    "android-libboringssl",
    "13.0.0+r24-2",
    "638b90834022a5dfe46c13778481d1d22b9b54eabee26a7bddf83253c14c009b",
)
_CLIENT = (
    Pin(
        "adb",
        "1:29.0.6-28",
        "a12693b0fab2edd8389017ce4589f59d11770dcdb585f090f3eff26f4a7d2dbc",
    ),
    Pin(
        "android-libbase",
        "1:29.0.6-28",
        "c651582c9beb229b6a4581eef5d03796293aa2da3b602eafc5427b198060819f",
    ),
    Pin(
        "android-libcutils",
        "1:29.0.6-28",
        "12ac0a99beb683269d77af09bf80ddd7b8c428fda442c05070ea3ff50429718c",
    ),
    Pin(
        "android-liblog",
        "1:29.0.6-28",
        "d495761ec2dc87070f6ac75c771d221d05e2be387cbaeab7e7c7fcd740ce4ce2",
    ),
    _BORINGSSL,
)
_DAEMON = (
    Pin(
        "adbd",
        "34.0.5-12~bpo12+1",
        "ef38358c033302491d436cd7da5e0cfb47944974d0e4c0cd707a067d49d7bf43",
    ),
    Pin(
        "android-libbase",
        "1:34.0.5-12~bpo12+1",
        "eea8bd26bbfe7c720f312fa9cb54bcdd5c31edda2277e9c5ffbb3611b20d6cd6",
    ),
    Pin(
        "android-libcutils",
        "1:34.0.5-12~bpo12+1",
        "c11dae3ded2fae22b33458ccc80b45fad7aa1913d295443d6553b37958282c99",
    ),
    Pin(
        "android-liblog",
        "1:34.0.5-12~bpo12+1",
        "0cf8ff85d342d120ac2e5d000d1f9b045ae7f83661e7a5004f6ab3a2299565a1",
    ),
    _BORINGSSL,
)
_FREE = {
    "client": ("libusb-1.0-0",),
    "daemon": ("libprotobuf32", "libbrotli1", "liblz4-1", "libzstd1"),
}
_PINNED = {"client": _CLIENT, "daemon": _DAEMON}


def fetch(cache: Path | None = None) -> Path:
    """The folder with `client` and `daemon`, fetched if it is not there.

    Args:
        cache: agecompact's cache folder; by default the user's.

    Raises:
        BackendMissingError: It cannot be had here.
    """
    key = hashlib.sha256(repr((_PINNED, _FREE)).encode()).hexdigest()[:16]
    folder = (cache or user_cache()) / "adb-loopback" / key
    if not folder.exists():
        with atomic_path(folder) as partial, tempfile.TemporaryDirectory() as scratch:
            _fetch(partial, Path(scratch))
    return folder


def _fetch(into: Path, scratch: Path) -> None:
    apt = ["-o", "APT::Sandbox::User=root", *_own_lists(scratch)]
    _run(["apt-get", *apt, "update"], scratch)
    for side, pins in _PINNED.items():
        downloaded = scratch / side
        downloaded.mkdir()
        wanted = [f"{pin.name}={pin.version}" for pin in pins] + list(_FREE[side])
        _run(["apt-get", *apt, "download", *wanted], downloaded)
        for pin in pins:
            (file,) = downloaded.glob(f"{pin.name}_*.deb")
            if sha256_of(file) != pin.sha256:
                raise BackendMissingError(f"{file.name} is not the package that was pinned")
        (into / side).mkdir(parents=True)
        for file in sorted(downloaded.glob("*.deb")):
            unpack(file, into / side)


def _own_lists(scratch: Path) -> list[str]:
    """apt's options for Debian 12 and its backports, from wherever this machine gets Debian."""
    told = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], scratch
    )
    uris = [uri for uri in told.splitlines() if uri.rstrip("/").endswith("/debian")]
    if not uris:
        raise BackendMissingError("adbd is Debian's, and this machine has no sources of Debian")
    sources = scratch / "debian.sources"
    sources.write_text(
        f"Types: deb\nURIs: {uris[0]}\nSuites: bookworm bookworm-backports\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": scratch / "none",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendMissingError(f"cannot run {command[0]}", why=str(error)) from None
    if done.returncode != 0:
        raise BackendMissingError(f"{command[0]} failed", why=done.stderr.strip()[-500:])
    return done.stdout


if __name__ == "__main__":
    try:
        print(fetch())
    except AgecompactError as missing:
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(int(missing.exit_code))
