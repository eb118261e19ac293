"""Makes the Python for ARM: `make arm-python`.

It needs no root. Debian's packages are those of the day, whose signatures apt checks; what
computes comes from wheels, in the versions that are installed here.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError
from agecompact.files import atomic_path
from agecompact.runtimes import executorch_native
from agecompact.runtimes.channel import MEMORY_BYTES, WORKER
from agecompact.scratch import scratch_folder
from agecompact.serialization import write_versioned
from android_bench.emulated import arm_python, cpus, emulator, fetching, make_bundle
from android_bench.emulated.arm_python import EXECUTORCH, INDEX, ROOT, SITE, VERSION, PythonIndex
from android_bench.emulated.debian import Apt, unpack
from android_bench.emulated.make_bundle import Report
from android_bench.failure import last_lines
from android_bench.native import sources

_ARCHITECTURE = "arm64"
_PACKAGES = (
    f"python{VERSION}-minimal",
    f"libpython{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
)
# Debian 12 has the C library 2.36.
_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in range(17, 37)))


def ensure(cache: Path | None = None, report: Report = lambda _: None) -> Path:
    """Returns the folder of the Python for ARM; makes it if it does not exist.

    Args:
        cache: agecompact's cache folder; by default the user's.
        report: Receives a line for each step.

    Raises:
        BackendMissingError: It cannot be made on this machine.
        OutputError: The cache cannot be written.
    """
    bundle = make_bundle.ensure(cache, report)
    folder = arm_python.python_folder(cache)
    if not folder.exists():
        with atomic_path(folder) as partial_, scratch_folder() as scratch:
            build(partial_, scratch, report)
            report("checking that it runs")
            launcher = arm_python.launcher_in(partial_, bundle)
            done = children.run(
                [*launcher.module(WORKER), str(MEMORY_BYTES)],
                env=launcher.environment,
                timeout_s=300,
            )
            if done.returncode != 0:
                raise BackendMissingError(
                    "the emulator does not run the Python for ARM", why=last_lines(done.stderr)
                )
    return folder


def build(into: Path, scratch: Path, report: Report) -> None:
    """Builds it.

    Args:
        into: Its folder, made here.
        scratch: An empty folder.
        report: Receives a line for each step.

    Raises:
        BackendMissingError: A part is unavailable.
    """
    for folder in (into / ROOT, into / SITE, scratch / "debian", scratch / "compiler"):
        folder.mkdir(parents=True)
    report(f"fetching Python {VERSION} for ARM")
    apt = Apt(scratch / "debian", _ARCHITECTURE)
    apt.use_own_lists()
    files = apt.download(_PACKAGES, scratch / "packages")
    for file in files:
        unpack(file, into / ROOT)
    emulator.make_root(into / ROOT, cpus.named(arm_python.CPU))
    wheels = arm_python.wheels()
    for distribution, version in wheels.items():
        report(f"fetching {distribution} {version} for ARM")
        wheel = fetching.wheel(
            distribution, version, scratch / "wheels", python=VERSION, platforms=_PLATFORMS
        )
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into / SITE)
    if EXECUTORCH in wheels:
        report("compiling ExecuTorch's C++ runtime for ARM")
        package = into / SITE / executorch_native.PACKAGE
        package.mkdir()
        compiler = fetching.compiler("C++", scratch / "compiler")
        sources.compile_executorch(
            compiler.program,
            package / executorch_native.LIBRARY,
            into / SITE / EXECUTORCH,
            environment=compiler.environment,
        )
    debian = dict(file.name.split("_")[:2] for file in files)
    write_versioned(into / INDEX, PythonIndex(debian=debian, wheels=wheels))


def _made(report: Report) -> str:
    folder = ensure(report=report)
    versions = ", ".join(f"{name} {number}" for name, number in arm_python.wheels().items())
    return f"{folder}: {versions}"


if __name__ == "__main__":
    sys.exit(make_bundle.command(_made))
