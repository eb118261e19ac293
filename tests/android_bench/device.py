"""A real adb client and a real adbd on loopback, and a phone's root folder behind them.

Debian's adbd has no bind address and asks nobody for permission, so it runs in a network namespace
of its own; no root is needed. The client reaches its server through a Unix socket, which is no part
of the namespace. adbd runs in a root folder that is made here of this machine's programs:

    /data/local/tmp     a tmpfs of a few MB, which can be filled
    /sys                what a phone's kernel tells of cores, clocks and sensors
    /device/bin         getprop, dumpsys and settings, which say what a phone would
    /device/launch      starts ARM programs, which this machine's kernel cannot: through qemu
    /bin/sh             hands to `launch` whatever is started through an ARM loader

Debian's packages are fetched by apt, which checks their signatures, into agecompact's cache. Those
of Android are pinned by hash as well. Of the rest, the newest of Debian 12 will do.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from agecompact.errors import BackendMissingError
from agecompact.files import atomic_path, sha256_of
from android_bench.emulated import cpus, emulator
from android_bench.emulated.debian import unpack
from android_bench.emulated.stored import LOADER, Bundle, user_cache

SERIAL = "localhost:6555"
_PORT = "6555"
_CPU = "cortex-a76"
_STORAGE = "48m"
_START_S = 60.0
_PROGRAMS = "usr/lib/android-sdk/platform-tools"
_LIBRARIES = ("usr/lib/{}/android", "usr/lib/{}", "lib/{}")


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
# What `apt-get install adb` gives a user of Debian 12.
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


_INNER = r"""
set -eu
ip link set lo up
mount -t tmpfs none "$PHONE/root"
cd "$PHONE/root"
mkdir -p usr etc lib lib64 proc dev sys bin tmp device adbd emulator data/local/tmp
for name in usr etc lib lib64 proc dev; do mount --rbind "/$name" "$name"; done
mount --bind "$PHONE/sys" sys
mount --bind "$PHONE/device" device
mount --bind "$DAEMON" adbd
mount --bind "$EMULATOR" emulator
mount -t tmpfs -o size="$STORAGE" none data/local/tmp
cp device/sh bin/sh
env -i HOME="$PHONE" LD_LIBRARY_PATH="$CLIENT_LIBRARIES" \
  "$CLIENT" -L "localfilesystem:$PHONE/socket" nodaemon server > "$PHONE/server.log" 2>&1 &
while :; do
  [ -e device/unplugged ] || env -i PATH=/device/bin:/usr/bin:/usr/sbin ADBD_PORT="$PORT" \
    LD_LIBRARY_PATH="$DAEMON_LIBRARIES" chroot . "/adbd/$PROGRAMS/adbd" >> "$PHONE/adbd.log" 2>&1 ||
    true
  sleep 0.1
done
"""

# Ends the phone when its standard input ends, and so with whatever becomes of this process.
_GUARD = """
exec 3<&0
"$@" 3<&- &
phone=$!
(cat <&3 > /dev/null; kill -9 "$phone" 2> /dev/null) &
exec 3<&-
wait "$phone"
"""

# adbd runs what it is told with `sh -c`; scripts are run with the script as the first word.
_SHELL = f"""#!/usr/bin/bash
[ "$1" = -c ] || exec /usr/bin/dash "$@"
exec /usr/bin/dash -c "${{2//.\\/{LOADER}//device/launch ./{LOADER}}}"
"""

LAUNCH = f"""#!/usr/bin/dash
export LD_LIBRARY_PATH=/emulator/qemu
exec /emulator/qemu/qemu-aarch64 -U LD_LIBRARY_PATH -cpu {_CPU} -L /device/root "$@"
"""

_GETPROP = """#!/usr/bin/dash
cat <<END
[ro.build.id]: [AP2A.240805.005]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Debian]
[ro.product.model]: [adbd on loopback]
[ro.soc.manufacturer]: [QEMU]
[ro.soc.model]: [user]
END
"""

_DUMPSYS = """#!/usr/bin/dash
case "$1" in
battery) printf 'Current Battery Service state:\\n  level: 85\\n  temperature: 312\\n' ;;
thermalservice) printf 'IsStatusOverride: false\\nThermal Status: %s\\n' "$(cat /device/heat)" ;;
esac
"""

_SETTINGS = "#!/usr/bin/dash\necho 0\n"


class Phone:
    """A context manager around a running adbd and its adb server.

    Args:
        folder: What `fetch` gave.
        bundle: What runs ARM programs.

    Raises:
        BackendMissingError: This machine lets nobody make namespaces, or adbd does not start.
    """

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self._folder = folder
        self._bundle = bundle
        # Short: the path of a Unix socket has no more than 107 characters.
        self.home = Path(tempfile.mkdtemp(prefix="phone-"))
        self.adb = self.home / "adb"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Phone:
        try:
            self._write()
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def device(self) -> Path:
        """What the phone has as /device."""
        return self.home / "device"

    def launch_with(self, script: str = LAUNCH) -> None:
        """Sets what starts ARM programs from now on."""
        _write_program(self.device / "launch", script)

    def set_heat(self, status: int) -> None:
        """Sets the phone's thermal status."""
        (self.device / "heat").write_text(str(status))

    def unplug(self) -> None:
        """Kills adbd, with all connections, until `plug_in`."""
        (self.device / "unplugged").touch()
        for process in self._daemons():
            process.kill()

    def plug_in(self) -> None:
        """Lets adbd come back, and waits for it."""
        (self.device / "unplugged").unlink(missing_ok=True)
        self._connect()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs adb as a user would."""
        return subprocess.run(
            [str(self.adb), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def _daemons(self) -> list[psutil.Process]:
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        return [child for child in children if child.name() == "adbd"]

    def _write(self) -> None:
        for name in ("root", "device/bin"):
            (self.home / name).mkdir(parents=True)
        emulator.make_root(self.device / "root", cpus.named(_CPU))
        _write_program(self.device / "sh", _SHELL)
        for name, script in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS), ("settings", _SETTINGS)):
            _write_program(self.device / "bin" / name, script)
        self.launch_with()
        self.set_heat(0)
        _write_sys(self.home / "sys")
        client = self._folder / "client"
        _write_program(
            self.adb,
            "#!/bin/sh\n"
            f"export HOME='{self.home}' LD_LIBRARY_PATH='{_libraries(client)}'\n"
            f"exec '{client / _PROGRAMS / 'adb'}' -L 'localfilesystem:{self.home}/socket' \"$@\"\n",
        )

    def _start(self) -> None:
        client, daemon = self._folder / "client", self._folder / "daemon"
        unshare = shutil.which("unshare")
        if unshare is None:
            raise BackendMissingError("no unshare here", fix="apt-get install util-linux")
        command = ["sh", "-c", _GUARD, "guard", unshare, "--map-root-user", "--net", "--mount"]
        command += ["--pid", "--fork", "--kill-child", "sh", "-c", _INNER]
        self._process = subprocess.Popen(
            command,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "PHONE": str(self.home),
                "CLIENT": str(client / _PROGRAMS / "adb"),
                "CLIENT_LIBRARIES": _libraries(client),
                "DAEMON": str(daemon),
                "DAEMON_LIBRARIES": _libraries(Path("/adbd")),
                "EMULATOR": str(self._bundle.folder),
                "PORT": _PORT,
                "PROGRAMS": _PROGRAMS,
                "STORAGE": _STORAGE,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "inner.log").open("wb"),
        )
        self._connect()

    def _connect(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process.poll() is None:
            if (self.home / "socket").exists():
                self.run("connect", SERIAL)
                if self.run("-s", SERIAL, "get-state").stdout.strip() == "device":
                    return
            time.sleep(0.1)
        log = (self.home / "inner.log").read_text(errors="replace").strip()
        raise BackendMissingError(
            "no adbd on loopback", why=log[-500:] or "it does not answer its client"
        )

    def _stop(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def _libraries(root: Path) -> str:
    triplet = f"{os.uname().machine}-linux-gnu"
    return ":".join(str(root / folder.format(triplet)) for folder in _LIBRARIES)


def _write_program(path: Path, text: str) -> None:
    # A new file: the old one may be running.
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _write_sys(root: Path) -> None:
    """This machine's cores, the last of them the fastest; the phone can be pinned to no others."""
    cores = sorted(os.sched_getaffinity(0))
    for core in cores:
        folder = root / f"devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        khz = "2802000" if core == cores[-1] else "1803000"
        for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq"):
            (folder / name).write_text(f"{khz}\n")
        (folder / "scaling_governor").write_text("schedutil\n")
    zone = root / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-1-0\n")
    (zone / "temp").write_text("41200\n")
