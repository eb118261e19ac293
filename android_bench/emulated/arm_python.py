"""A Python for ARM, in which the emulator runs the workers of runtimes.

With it, parity checks a file in the same runtime as on this machine, compiled for a phone's
processor. It is in `$XDG_CACHE_HOME/agecompact/arm-python/<key>`, `~/.cache` by default. The key
is a hash of what is in it, so another version of a runtime needs another one.

    index.json      versions
    root/           Debian's Python for ARM, and the files in which it finds a Cortex-A76
    site/           the runtimes for ARM, in the versions that this Python has
"""

from __future__ import annotations

import hashlib
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from os import pathsep
from pathlib import Path

import agecompact
from agecompact.checked import Checked, Text
from agecompact.errors import BackendMissingError
from agecompact.files import canonical_json, user_cache
from agecompact.runtimes.launching import Launcher
from android_bench.emulated import bundle
from android_bench.native import sources

VERSION = "3.11"
CPU = "cortex-a76"
INDEX = "index.json"
ROOT = "root"
SITE = "site"
EXECUTORCH = "executorch"
MAKE = "python -m android_bench.emulated.make_python"

# What workers import that is compiled; the rest comes from this Python's packages.
_RUNTIMES = ("ai-edge-litert", "onnxruntime", EXECUTORCH, "ncnn")
_BENEATH = ("ml_dtypes", "numpy", "onnx", "protobuf")


@dataclass(frozen=True, kw_only=True)
class PythonIndex(Checked):
    """`index.json`.

    Attributes:
        debian: Versions of Debian's packages.
        wheels: Versions of the wheels.
    """

    debian: dict[str, Text]
    wheels: dict[str, Text]


def wheels() -> dict[str, str]:
    """Versions of the wheels that it has: those that are installed here."""
    found = {}
    for distribution in sorted((*_RUNTIMES, *_BENEATH)):
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def python_folder(cache: Path | None = None) -> Path:
    """Its folder for the installed versions, which may not exist yet.

    Args:
        cache: agecompact's cache folder; by default the user's.
    """
    inside = [VERSION, CPU, wheels(), sources.EXECUTORCH.read_text()]
    key = hashlib.sha256(canonical_json(inside).encode()).hexdigest()[:16]
    return (cache or user_cache()) / "arm-python" / key


def launcher() -> Launcher:
    """What starts it.

    Raises:
        BackendMissingError: It, or the ARM bundle with the emulator, was not made yet.
    """
    folder = python_folder()
    if not (folder / INDEX).is_file():
        raise BackendMissingError(
            "the Python for ARM is missing",
            why=f"there is none for the installed runtimes in {folder.parent}",
            fix=MAKE,
        )
    return launcher_in(folder, bundle.load())


def launcher_in(folder: Path, emulator: bundle.Bundle) -> Launcher:
    """What starts the one in a folder."""
    root = folder / ROOT
    # Its own packages hide this Python's, which it cannot load where they are compiled.
    packages = (
        folder / SITE,
        Path(agecompact.__file__).parent.parent,
        Path(sysconfig.get_path("purelib")),
    )
    command = (emulator.qemu, "-U", "LD_LIBRARY_PATH", "-cpu", CPU, "-L", root)
    return Launcher(
        tuple(map(str, (*command, root / f"usr/bin/python{VERSION}"))),
        {
            **emulator.environment(),
            "PYTHONHOME": str(root / "usr"),
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": pathsep.join(map(str, packages)),
        },
    )
