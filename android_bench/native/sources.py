"""Compiles the sources in C and C++."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError

FOLDER = Path(__file__).parent
_RUNNER = ("runner.c", "options.c", "golden.c", "litert.c", "fail.c")
_PLUGIN = ("count_plugin.c",)
EXECUTORCH = FOLDER / "executorch.cpp"

_STRICT = ("-O2", "-Wall", "-Wextra", "-Werror")
_C, _CPP = ("-std=c11", *_STRICT), ("-std=c++17", *_STRICT)
# What registers kernels and delegates when it is loaded is linked even if nothing calls it.
_LINKED = ("", "_kernels_optimized", "_kernels_quantized", "_backend_xnnpack", "_threadpool")
_FIX = "apt-get install gcc libc6-dev g++-aarch64-linux-gnu"


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
    command = [compiler, *_C, *_RUNNER, "-o", str(out.absolute()), "-ldl"]
    _compile("the ARM runner", command, environment)


def compile_plugin(out: Path) -> None:
    """Compiles the counting plugin for this machine, where qemu loads it.

    Args:
        out: The shared library to write.

    Raises:
        BackendMissingError: There is no gcc, or it rejected the source.
    """
    shared = ["-shared", "-fPIC", "-fvisibility=hidden"]
    command = ["gcc", *_C, *shared, *_PLUGIN, "-o", str(out.absolute())]
    _compile("the counting plugin", command, None)


def compile_executorch(
    compiler: str, out: Path, package: Path, *, environment: Mapping[str, str] | None = None
) -> None:
    """Compiles ExecuTorch's C++ runtime behind a C interface.

    Args:
        compiler: The compiler, such as `aarch64-linux-gnu-g++`.
        out: The shared library to write, in a folder beside the package.
        package: The package of ExecuTorch for the same machine, with its headers and libraries.
        environment: Environment variables of the compiler; by default those of this process.

    Raises:
        BackendMissingError: The compiler is missing, or rejected the source.
    """
    include = package / "include"
    # Other headers would come from torch.
    headers = ["-DC10_USING_CUSTOM_GENERATED_MACROS", "-isystem", str(include)]
    headers += ["-isystem", str(include / "executorch/runtime/core/portable_type/c10")]
    libraries = [f"-lexecutorch{name}" for name in _LINKED]
    link = ["-shared", "-fPIC", f"-L{package / 'lib'}", "-Wl,--no-as-needed"]
    link += [f"-Wl,-rpath,$ORIGIN/../{package.name}/lib", "-o", str(out.absolute())]
    command = [compiler, *_CPP, *headers, EXECUTORCH.name, *link, *libraries]
    _compile("ExecuTorch's C++ runtime", command, environment)


def _compile(what: str, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
    try:
        done = children.run(command, cwd=FOLDER, env=environment, timeout_s=300)
    except FileNotFoundError:
        raise BackendMissingError(
            f"cannot compile {what}", why=f"there is no {command[0]}", fix=_FIX
        ) from None
    if done.returncode != 0:
        raise BackendMissingError(
            f"{command[0]} cannot compile {what}",
            why=done.stderr.strip()[-2000:],
            fix=_FIX,
        )
