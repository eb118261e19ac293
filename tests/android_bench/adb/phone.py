"""A real adb client and a real adbd on loopback, with a phone's root folder.

Debian's adbd has no bind address and no authorisation, so it runs in a network namespace of its
own, without root. The client reaches its server through a Unix socket, which is not part of the
namespace. adbd runs in a root folder that is made here of this machine's programs:

    /data/local/tmp     a tmpfs of a few MB, which can be filled
    /sys                cores, clocks and sensors, as a phone's kernel shows them
    /device/bin         getprop, dumpsys and settings, with a phone's output
    /device/launch      starts ARM programs through qemu
    /bin/sh             passes what is started through an ARM loader to `launch`
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from agecompact.errors import BackendMissingError
from android_bench.emulated import cpus, emulator
from android_bench.emulated.bundle import LOADER, Bundle

SERIAL = "localhost:6555"
_PORT = "6555"
_CPU = "cortex-a76"
_STORAGE = "48m"
_START_S = 60.0
_PROGRAMS = "usr/lib/android-sdk/platform-tools"
_LIBRARIES = ("usr/lib/{}/android", "usr/lib/{}", "lib/{}")


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

# Ends the phone when its standard input closes, so also if this process is killed.
_GUARD = """
exec 3<&0
"$@" 3<&- &
phone=$!
(cat <&3 > /dev/null; kill -9 "$phone" 2> /dev/null) &
exec 3<&-
wait "$phone"
"""

# adbd runs commands with `sh -c`; scripts are run with the script as the first word.
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
thermalservice) printf 'IsStatusOverride: false\\nThermal Status: %s\\n' "$(cat /device/status)" ;;
esac
"""

_SETTINGS = "#!/usr/bin/dash\necho 0\n"


class Phone:
    """A context manager around a running adbd and its adb server.

    Args:
        folder: Folder of `packages.fetch`.
        bundle: The bundle that runs ARM programs.

    Raises:
        BackendMissingError: This machine does not allow namespaces, or adbd does not start.
    """

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self._folder = folder
        self._bundle = bundle
        # Short: the path of a Unix socket has at most 107 characters.
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

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def device(self) -> Path:
        """The folder that the phone has as /device."""
        return self.home / "device"

    def launch_with(self, script: str = LAUNCH) -> None:
        """Sets the script that starts ARM programs."""
        _write_program(self.device / "launch", script)

    def set_thermal_status(self, status: int) -> None:
        """Sets the phone's thermal status."""
        (self.device / "status").write_text(str(status))

    def unplug(self) -> None:
        """Kills adbd with all connections, until `plug_in`."""
        (self.device / "unplugged").touch()
        for process in self._daemons():
            process.kill()

    def plug_in(self) -> None:
        """Starts adbd again, and waits for it."""
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
        self.set_thermal_status(0)
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
            raise BackendMissingError("unshare is missing", fix="apt-get install util-linux")
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
            "no adbd on loopback", why=log[-500:] or "it does not respond to its client"
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
    # A new file, because the old one may be running.
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _write_sys(root: Path) -> None:
    """This machine's cores, to which the phone can be pinned; the last is the fastest."""
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
