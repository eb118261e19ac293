"""A fake adb whose device is a folder of this machine.

It shows what is hard to get from a real one: device states, messages of other versions, a device
that asks for permission. `test_end_to_end` runs a real adb and adbd.
"""

from __future__ import annotations

from pathlib import Path

from android_bench.adb.client import Client

_ADB = """#!/bin/sh
here=$(dirname "$0")
[ -f "$here/error" ] && { cat "$here/error" >&2; exit 1; }
[ "$1" = devices ] && { echo 'List of devices attached'; cat "$here/devices"; exit; }
[ "$1" = -s ] && shift 2
case "$1" in
shell) exec sh -c "$2" ;;
push) cp "$2" "$3" ;;
pull) cp "$2" "$3" ;;
get-state) echo device ;;
wait-for-device) exit 0 ;;
esac
"""


class FolderAdb:
    """The fake adb.

    Args:
        folder: An empty folder for it.
    """

    def __init__(self, folder: Path) -> None:
        self.program = folder / "adb"
        self.program.write_text(_ADB)
        self.program.chmod(0o755)
        self.set_devices("F00 device model:Folder")
        self.root = folder / "tmp"
        self.root.mkdir()

    def set_devices(self, *lines: str) -> None:
        """Sets what `adb devices -l` lists."""
        self.program.with_name("devices").write_text("".join(f"{line}\n" for line in lines))

    def fail_with(self, message: str) -> None:
        """Makes every command fail with a message."""
        self.program.with_name("error").write_text(message + "\n")

    def client(self) -> Client:
        """A client for its device."""
        return Client(self.program, "F00")
