"""A working folder on a device, for one process at a time, that is removed afterwards."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.scratch import scratch_folder
from android_bench.adb.client import Client, CommandResult
from android_bench.adb.failure import AdbFailure

# The shell user may write here and run programs from here, on every device.
ROOT = "/data/local/tmp"
_PID = "run.pid"
_KILL = f"[ ! -f {_PID} ] || kill -9 $(cat {_PID}); rm -f {_PID}"
_STDOUT = "stdout.txt"
_STDERR = "stderr.txt"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_HASH_TIMEOUT_S = 120.0

# Devices with a session of this process. If this process's lock is on another device, the device
# was lost before the lock was removed.
_LOCKED: set[str] = set()


@dataclass(frozen=True)
class ProgramResult(CommandResult):
    """A program that ran to its end on the device.

    Attributes:
        elapsed_s: Wall time of the whole run by this machine's clock.
    """

    elapsed_s: float


class Session:
    """A context manager around a working folder on a device.

    Each user and machine has one folder, so files that an interrupted session left there are used
    again. Leaving the context kills what still runs there and removes the folder and the lock, also
    on Ctrl-C; if the device is lost, the next session removes them.

    Args:
        client: The device.
        root: Folder of the device to work in.
    """

    def __init__(self, client: Client, root: str = ROOT) -> None:
        self.client = client
        owner = f"{getpass.getuser()}@{socket.gethostname()}"
        self._owner = f"{owner} {os.getpid()}"
        self.folder = f"{root}/agecompact-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"
        self._lock = f"{root}/agecompact.lock"
        self._hashes: dict[str, str] = {}

    def __enter__(self) -> Session:
        self._take_lock()
        _LOCKED.add(self.client.serial)
        try:
            self.reopen()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def reopen(self) -> None:
        """Makes the folder if needed, lists its files, and kills what an old session left running.

        Raises:
            AdbFailure: The folder cannot be made.
        """
        self._kill()
        self.client.check(f"mkdir -p {shlex.quote(self.folder)}")
        listed = self.client.shell(
            f"cd {shlex.quote(self.folder)} && find . -type f -exec sha256sum {{}} +",
            timeout_s=_HASH_TIMEOUT_S,
        )
        words = [line.split("  ", 1) for line in listed.stdout.splitlines()]
        self._hashes = {pair[1].removeprefix("./"): pair[0] for pair in words if len(pair) == 2}

    def push(self, local: Path, name: str, *, executable: bool = False) -> None:
        """Puts a file into the folder, unless the same file is there.

        Args:
            local: The file.
            name: Its path in the folder.
            executable: Whether it is a program.

        Raises:
            AdbFailure: The copy is incomplete.
        """
        remote = f"{self.folder}/{name}"
        digest = sha256_of(local)
        if self._hashes.get(name) == digest:
            return
        self._hashes.pop(name, None)
        parent = remote.rpartition("/")[0]
        self.client.check(f"mkdir -p {shlex.quote(parent)}")
        try:
            self.client.push(local, remote)
        except AdbFailure:
            # A partial file would take the storage that the next one needs.
            self.remove(name)
            raise
        if executable:
            self.client.check(f"chmod 755 {shlex.quote(remote)}")
        self._verify(remote, digest)
        self._hashes[name] = digest

    def remove(self, name: str) -> None:
        """Removes a file from the folder."""
        self._hashes.pop(name, None)
        with suppress(AdbFailure):
            self.client.shell(f"rm -f {shlex.quote(f'{self.folder}/{name}')}")

    def _verify(self, remote: str, digest: str) -> None:
        printed = self.client.shell(f"sha256sum {shlex.quote(remote)}", timeout_s=_HASH_TIMEOUT_S)
        # Android before 8 has no sha256sum.
        if printed.exit_code == 0 and printed.stdout.split(" ")[0] != digest:
            raise AdbFailure(
                "command-failed", f"{remote} is not what was pushed", why="its sha256 differs"
            )

    def run(self, command: str, *, timeout_s: float) -> ProgramResult:
        """Runs a program in the folder; its output goes into files there, which are pulled.

        Args:
            command: As the device's shell takes it, relative to the folder.
            timeout_s: Longest that it may take.

        Raises:
            AdbFailure: The device was lost, or the program took too long and was killed.
        """
        inner = f"echo $$ > {_PID}; exec {command} > {_STDOUT} 2> {_STDERR} < /dev/null"
        started = time.monotonic()
        try:
            # A program that outlived a lost connection would disturb this one.
            result = self.client.shell(
                f"cd {shlex.quote(self.folder)} || exit\n{_KILL}\nsh -c {shlex.quote(inner)}\n"
                f"code=$?; rm -f {_PID}; exit $code",
                timeout_s=timeout_s,
            )
        except AdbFailure as failure:
            if failure.kind == "timeout":
                self._kill()
            raise
        elapsed_s = time.monotonic() - started
        stdout, stderr = self.read(_STDOUT), self.read(_STDERR)
        return ProgramResult(result.exit_code, stdout, stderr or result.stderr, elapsed_s)

    def read(self, name: str) -> str:
        """Content of a file in the folder.

        Raises:
            AdbFailure: There is no such file, or the device was lost.
        """
        with scratch_folder() as scratch:
            local = scratch / Path(name).name
            self.client.pull(f"{self.folder}/{name}", local)
            return local.read_text(encoding="utf-8", errors="replace")

    def _kill(self) -> None:
        with suppress(AdbFailure):
            self.client.shell(f"cd {shlex.quote(self.folder)} && {{ {_KILL}; }}")

    def _remove(self) -> None:
        _LOCKED.discard(self.client.serial)
        self._kill()
        with suppress(AdbFailure):
            self.client.shell(f"rm -rf {shlex.join([self.folder, self._lock])}")

    def _take_lock(self) -> None:
        boot_id = f"$(cat {_BOOT_ID} 2>/dev/null)"
        lock = shlex.quote(self._lock)
        take = f'mkdir {lock} && (echo "{self._owner} {boot_id}" > {lock}/owner || ! rm -rf {lock})'
        if self.client.shell(take).exit_code == 0:
            return
        held = self.client.shell(f"cat {lock}/owner && echo {boot_id}").stdout.splitlines()
        if len(held) < 1 or self._is_stale(held[0], held[-1]):
            self.client.check(f"rm -rf {lock} && {take}")
            return
        raise UsageError(
            f"another process measures on {self.client.serial}",
            why=f"it is {held[0].rpartition(' ')[0]}; two would disturb each other",
            fix=f"wait for it; if it is dead: adb -s {self.client.serial} shell rm -r {lock}",
        )

    def _is_stale(self, holder: str, boot_id: str) -> bool:
        owner, _, rest = holder.partition(" ")
        pid, _, boot_id_then = rest.partition(" ")
        if boot_id_then != boot_id:
            return True
        if owner != self._owner.partition(" ")[0] or not re.fullmatch(r"[0-9]{1,9}", pid):
            return False
        if int(pid) == os.getpid():
            return self.client.serial not in _LOCKED
        return not _runs(int(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
