"""A working folder on a device, for one harness at a time, that does not stay behind."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from agecompact.errors import UsageError
from agecompact.files import sha256_of
from android_bench.adb.client import Client, quoted
from android_bench.adb.failure import AdbFailure

# Every user of a device's shell may write here, and programs may be run from here.
ROOT = "/data/local/tmp"
_PID = "run.pid"
_KILL = f"[ ! -f {_PID} ] || kill -9 $(cat {_PID}); rm -f {_PID}"
_STDOUT = "stdout.txt"
_STDERR = "stderr.txt"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_HASH_TIMEOUT_S = 120.0

# Devices that sessions of this process are on: a lock of ours on any other was left there when the
# device was.
_HELD: set[str] = set()


@dataclass(frozen=True)
class Ended:
    """A program that ran to its end on the device.

    Attributes:
        exit_code: Its exit code; 128 and the signal's number after a crash.
        stdout: What it printed.
        stderr: What it logged.
        elapsed_s: Wall time of the whole of it by this machine's clock.
    """

    exit_code: int
    stdout: str
    stderr: str
    elapsed_s: float


class Session:
    """A context manager around a working folder on a device.

    The folder is one for each user and machine, so that what an interrupted session left there is
    used again. Leaving the context kills what still runs there and removes the folder and the lock,
    on Ctrl-C too; where the device is gone, the next session removes them.

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
        _HELD.add(self.client.serial)
        try:
            self.reopen()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def reopen(self) -> None:
        """Makes the folder if it is not there, and looks at what is in it.

        Whatever still runs there, of a session that was cut off, is killed: it would disturb.

        Raises:
            AdbFailure: It cannot be made.
        """
        self._kill()
        self.client.check(f"mkdir -p {quoted([self.folder])}")
        listed = self.client.shell(
            f"cd {quoted([self.folder])} && find . -type f -exec sha256sum {{}} +",
            timeout_s=_HASH_TIMEOUT_S,
        )
        words = [line.split("  ", 1) for line in listed.stdout.splitlines()]
        self._hashes = {pair[1].removeprefix("./"): pair[0] for pair in words if len(pair) == 2}

    def push(self, local: Path, name: str, *, executable: bool = False) -> str:
        """Puts a file into the folder, unless the very same is there.

        Args:
            local: The file.
            name: Its path in the folder.
            executable: Whether it is a program.

        Returns:
            Its path on the device.

        Raises:
            AdbFailure: It did not get there whole.
        """
        remote = f"{self.folder}/{name}"
        digest = sha256_of(local)
        if self._hashes.get(name) == digest:
            return remote
        self._hashes.pop(name, None)
        parent = remote.rpartition("/")[0]
        self.client.check(f"mkdir -p {quoted([parent])}")
        try:
            self.client.push(local, remote)
        except AdbFailure:
            # What did not fit would stand in the way of the next file.
            with suppress(AdbFailure):
                self.client.shell(f"rm -f {quoted([remote])}")
            raise
        if executable:
            self.client.check(f"chmod 755 {quoted([remote])}")
        self._hashes[name] = self._verified(remote, digest)
        return remote

    def forget(self, name: str) -> None:
        """Removes a file from the folder."""
        self._hashes.pop(name, None)
        with suppress(AdbFailure):
            self.client.shell(f"rm -f {quoted([f'{self.folder}/{name}'])}")

    def _verified(self, remote: str, digest: str) -> str:
        told = self.client.shell(f"sha256sum {quoted([remote])}", timeout_s=_HASH_TIMEOUT_S)
        # Android before 8 has no sha256sum.
        if told.exit_code == 0 and told.stdout.split(" ")[0] != digest:
            raise AdbFailure(
                "command-failed", f"{remote} is not what was pushed", why="its sha256 is another"
            )
        return digest

    def run(self, command: str, *, timeout_s: float) -> Ended:
        """Runs a program in the folder, its output into files there, which are pulled.

        Args:
            command: As the device's shell takes it, relative to the folder; it becomes the program.
            timeout_s: Longest that it may take.

        Raises:
            AdbFailure: The device left, or it did not end in time and was killed.
        """
        inner = f"echo $$ > {_PID}; exec {command} > {_STDOUT} 2> {_STDERR} < /dev/null"
        started = time.monotonic()
        try:
            # One that outlived a lost connection would be timed along with the next.
            ran = self.client.shell(
                f"cd {quoted([self.folder])} || exit\n{_KILL}\nsh -c {quoted([inner])}\n"
                f"code=$?; rm -f {_PID}; exit $code",
                timeout_s=timeout_s,
            )
        except AdbFailure as failure:
            if failure.kind == "timeout":
                self._kill()
            raise
        elapsed_s = time.monotonic() - started
        with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
            texts = [self._pulled(name, Path(scratch)) for name in (_STDOUT, _STDERR)]
        return Ended(ran.exit_code, texts[0], texts[1] or ran.stderr, elapsed_s)

    def read(self, name: str) -> str:
        """Content of a file in the folder.

        Raises:
            AdbFailure: There is none, or the device left.
        """
        with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
            return self._pulled(name, Path(scratch))

    def _pulled(self, name: str, scratch: Path) -> str:
        local = scratch / Path(name).name
        self.client.pull(f"{self.folder}/{name}", local)
        return local.read_text(encoding="utf-8", errors="replace")

    def _kill(self) -> None:
        with suppress(AdbFailure):
            self.client.shell(f"cd {quoted([self.folder])} && {{ {_KILL}; }}")

    def _remove(self) -> None:
        _HELD.discard(self.client.serial)
        self._kill()
        with suppress(AdbFailure):
            self.client.shell(f"rm -rf {quoted([self.folder, self._lock])}")

    def _take_lock(self) -> None:
        boot = f"$(cat {_BOOT_ID} 2>/dev/null)"
        lock = quoted([self._lock])
        take = f'mkdir {lock} && (echo "{self._owner} {boot}" > {lock}/owner || ! rm -rf {lock})'
        first = self.client.shell(take)
        if first.exit_code == 0:
            return
        held = self.client.shell(f"cat {lock}/owner && echo {boot}").stdout.splitlines()
        if len(held) < 1 or self._is_stale(held[0], held[-1]):
            self.client.check(f"rm -rf {lock} && {take}")
            return
        raise UsageError(
            f"another harness measures on {self.client.serial}",
            why=f"process {held[0].rpartition(' ')[0]}; two would disturb each other",
            fix=f"wait for it; if it is dead: adb -s {self.client.serial} shell rm -r {lock}",
        )

    def _is_stale(self, held: str, boot: str) -> bool:
        owner, _, rest = held.partition(" ")
        pid, _, boot_then = rest.partition(" ")
        if boot_then != boot:
            return True
        if owner != self._owner.partition(" ")[0] or not pid.isdecimal():
            return False
        if int(pid) == os.getpid():
            return self.client.serial not in _HELD
        return not _runs(int(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
