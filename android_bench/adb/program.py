"""Where the adb program is.

A server of one adb version is killed by a client of another, and with it every connection of every
other program. So the program that the user already uses comes first: `$ADB`, then the one on PATH
(Debian's `adb` 29 works), and only then the one in the `adbutils` package from PyPI, which is for
machines that have none. The program itself is run, not a reimplementation of its protocol: it knows
USB, authorisation and every generation of devices.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from agecompact.errors import BackendMissingError

_FIX = "apt-get install adb, or pip install adbutils, or set ADB to the program"


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """The adb program.

    Args:
        environment: Environment variables: `ADB`, and `PATH`.

    Raises:
        BackendMissingError: There is none here.
    """
    if named := environment.get("ADB"):
        found = shutil.which(named, path=environment.get("PATH"))
        if found is None:
            raise BackendMissingError(f"no program at {named}, which ADB names", fix=_FIX)
        return Path(found)
    if found := shutil.which("adb", path=environment.get("PATH")):
        return Path(found)
    if (bundled := _bundled()) is not None:
        return bundled
    raise BackendMissingError("no adb here", why="it is what reaches an Android device", fix=_FIX)


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("adbutils")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "binaries" / "adb"
    return program if os.access(program, os.X_OK) else None
