"""Compiles the C sources."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError

FOLDER = Path(__file__).parent
_RUNNER = ("runner.c", "options.c", "golden.c", "litert.c", "fail.c")
_PLUGIN = ("count_plugin.c",)

_STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
_FIX = "apt-get install gcc libc6-dev"


def digest() -> str:
    """SHA-256 of all C sources and headers, names included."""
    total = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[ch]")):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def compile_runner(
    compiler: str, out: Path, *, environment: Mapping[str, str] | None = None
) -> None:
    """Compiles the runner.

    Args:
        compiler: The compiler, such as `aarch64-linux-gnu-gcc`.
        out: The program to write.
        environment: Environment variables of the compiler; by default those of this process.

    Raises:
        BackendMissingError: The compiler is missing, or rejected the sources.
    """
    _compile([compiler, *_STRICT, *_RUNNER, "-o", str(out.absolute()), "-ldl"], environment)


def compile_plugin(out: Path) -> None:
    """Compiles the counting plugin for this machine, where qemu loads it.

    Args:
        out: The shared library to write.

    Raises:
        BackendMissingError: There is no gcc, or it rejected the source.
    """
    shared = ["-shared", "-fPIC", "-fvisibility=hidden"]
    _compile(["gcc", *_STRICT, *shared, *_PLUGIN, "-o", str(out.absolute())], None)


def _compile(command: Sequence[str], environment: Mapping[str, str] | None) -> None:
    try:
        done = children.run(command, cwd=FOLDER, env=environment, timeout_s=300)
    except FileNotFoundError:
        raise BackendMissingError(
            "cannot compile the ARM runner", why=f"there is no {command[0]}", fix=_FIX
        ) from None
    if done.returncode != 0:
        raise BackendMissingError(
            f"{command[0]} cannot compile the ARM runner",
            why=done.stderr.strip()[-2000:],
            fix=_FIX,
        )
