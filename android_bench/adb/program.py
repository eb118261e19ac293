"""Finds the adb program.

An adb client kills a server of another version, and with it the connections of all other programs.
So the adb that the user already has comes first: `$ADB`, then the one on PATH (Debian's `adb` 29
works), and last the one in the `adbutils` package from PyPI. agecompact runs the program instead of
its protocol, because it knows USB, authorisation and every generation of devices.
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
    """Path of the adb program.

    Args:
        environment: Environment variables: `ADB` and `PATH`.

    Raises:
        BackendMissingError: There is none.
    """
    path = environment.get("PATH")
    if named := environment.get("ADB"):
        program = shutil.which(named, path=path)
        if program is None:
            raise BackendMissingError(f"no program at {named}, which ADB names", fix=_FIX)
        return Path(program)
    if program := shutil.which("adb", path=path):
        return Path(program)
    spec = importlib.util.find_spec("adbutils")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "binaries" / "adb"
        if os.access(bundled, os.X_OK):
            return bundled
    raise BackendMissingError("adb is missing", why="it connects to Android devices", fix=_FIX)
