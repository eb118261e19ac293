"""Core ML on this Mac: the Swift runner, in a separate process for each compute unit."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Machine
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import BuildFile, described
from agecompact.bench.record import Record
from agecompact.errors import BackendMissingError, UsageError
from agecompact.scratch import scratch_folder
from agecompact.serialization import parse_json
from ios_bench import packages, results, tool
from ios_bench.settings import Request, of_mac

SWIFT_PACKAGE = Path(__file__).parent / "AgecompactBench"
RUNNER = "agecompact-bench"
# Path of a runner that is already built.
RUNNER_VARIABLE = "AGECOMPACT_BENCH_RUNNER"

_BUILD_TIMEOUT_S = 900.0
_MACHINE_TIMEOUT_S = 30.0
# The runner's own watchdog should fire first, since it reports more.
_GRACE_S = 30.0


@dataclass(frozen=True)
class Mac:
    """This Mac, ready to measure.

    Attributes:
        runner: The Swift runner.
        machine: The machine as the runner describes it.
        run: Runs a program.
    """

    runner: Path
    machine: Machine
    run: tool.Run = tool.run

    def measure(self, build: Build, file: BuildFile, unit: str, request: Request) -> Record:
        """Measures one package on one compute unit, in a new process.

        A hang, a crash or an unreadable record gives a record with its `failure`.
        """
        blank = results.blank("host", described(file), self.machine, unit)
        golden = packages.golden_pack_of(build)
        with scratch_folder() as scratch:
            out = scratch / "record.json"
            arguments = request.arguments(
                str(file.path), unit, out=str(out), golden=str(golden) if golden else None
            )
            completed = self.run([str(self.runner), *arguments], request.timeout_s + _GRACE_S)
            return results.of_run(blank, out, completed, request.timeout_s)


def available(place: str | None) -> str:
    """What measures on this Mac.

    Args:
        place: Compute units, separated by commas; None for all.

    Raises:
        BackendMissingError: This is not a Mac, or it has no Swift to build the runner with.
        UsageError: An unknown compute unit.
    """
    of_mac(Settings(place=place))
    _require_core_ml()
    built = _named_runner()
    return f"the runner at {built}" if built else f"Swift at {_swift()}"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every Core ML package of a build on this Mac.

    Args:
        build: The build; outputs are compared if it holds a golden pack.
        settings: `rounds`, of 50 inferences each; `place` lists compute units, separated by
            commas, all four if None.
        report: Called with each package's name when it has been measured.

    Returns:
        A record for each package and compute unit, in that order.

    Raises:
        BackendMissingError: This is not a Mac, or it has no Swift.
        UsageError: The build holds no Core ML package, or a compute unit is unknown.
    """
    request = of_mac(settings)
    files = packages.packages_of(build)
    mac = this_mac()
    records = []
    for file in files:
        records += [mac.measure(build, file, unit, request) for unit in request.compute_units]
        report(file.path.name)
    return tuple(records)


def this_mac(run: tool.Run = tool.run) -> Mac:
    """Finds or builds the runner, and has it describe the machine.

    Raises:
        BackendMissingError: This is not a Mac, it has no Swift, or the runner does not build.
    """
    _require_core_ml()
    runner = _runner(run)
    try:
        completed = run([str(runner), "--machine"], _MACHINE_TIMEOUT_S)
        if completed.returncode != 0:
            raise UsageError(completed.message)
        machine = parse_json(completed.stdout, Machine, where="the runner's description")
    except (OSError, UsageError) as error:
        raise BackendMissingError(
            f"{runner} does not run here",
            why=str(error),
            fix=f"swift package clean --package-path {SWIFT_PACKAGE}",
        ) from None
    return Mac(runner, machine, run)


def _require_core_ml() -> None:
    require_macos("Core ML predicts on macOS only", "run the same command on a Mac")


def require_macos(why: str, fix: str) -> None:
    """Refuses to go on where there is no Core ML.

    Args:
        why: What other systems lack.
        fix: What to do instead.

    Raises:
        BackendMissingError: This is not a Mac.
    """
    if sys.platform != "darwin":
        raise BackendMissingError(
            "nothing can be measured here", why=f"{why}; this is {platform.system()}", fix=fix
        )


def _named_runner() -> Path | None:
    """The runner that the environment names; None if it is to be built."""
    named = os.environ.get(RUNNER_VARIABLE)
    if named is None:
        return None
    path = Path(named)
    if not path.is_file():
        raise BackendMissingError(
            f"no runner at {path}",
            why=f"{RUNNER_VARIABLE} names this path",
            fix=f"unset {RUNNER_VARIABLE}, so that the runner is built",
        )
    return path


def _swift() -> str:
    """Path of the compiler that builds the runner."""
    if not SWIFT_PACKAGE.is_dir():
        raise BackendMissingError(
            "the Swift package of ios_bench is missing",
            why="it is part of agecompact's repository, but not of a wheel",
            fix=f"clone the repository, or set {RUNNER_VARIABLE} to a built runner",
        )
    swift = shutil.which("swift")
    if swift is None:
        raise BackendMissingError(
            "the runner cannot be built",
            why="there is no 'swift' on the PATH",
            fix="xcode-select --install",
        )
    return swift


def _runner(run: tool.Run) -> Path:
    if (built := _named_runner()) is not None:
        return built
    _swift()
    build = ["swift", "build", "-c", "release", "--package-path", str(SWIFT_PACKAGE)]
    completed = run([*build, "--product", RUNNER], _BUILD_TIMEOUT_S)
    if completed.returncode == 0:
        completed = run([*build, "--show-bin-path"], _BUILD_TIMEOUT_S)
    if completed.returncode != 0:
        raise BackendMissingError(
            "the runner does not build",
            why="it took too long" if completed.timed_out else completed.message,
            fix=f"see the compiler's messages: {' '.join(build)}",
        )
    return Path(completed.stdout.strip()) / RUNNER
