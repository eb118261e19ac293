"""Core ML on this Mac: the Swift runner, in a process of its own for each compute unit."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build, Entry
from agecompact.bench.circumstances import Machine
from agecompact.bench.record import Artifact, Record
from agecompact.errors import BackendMissingError, UsageError
from agecompact.serialization import structure
from ios_bench import packages, results, tool
from ios_bench.settings import Request, Settings, of_mac

SWIFT_PACKAGE = Path(__file__).parent / "AgecompactBench"
RUNNER = "agecompact-bench"
# Names a runner that is built already.
RUNNER_VARIABLE = "AGECOMPACT_BENCH_RUNNER"

_BUILD_TIMEOUT_S = 900.0
_MACHINE_TIMEOUT_S = 30.0
# The runner's own watchdog comes first, and knows more.
_GRACE_S = 30.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Mac:
    """This Mac, ready to measure.

    Attributes:
        runner: The Swift runner.
        machine: What it says that it runs on.
        run: How programs are run.
    """

    runner: Path
    machine: Machine
    run: tool.Run = tool.run

    def measure(self, build: Build, entry: Entry, unit: str, request: Request) -> Record:
        """Measures one package on one compute unit, in a fresh process.

        A hang, a crash and a broken answer are records with a reason.
        """
        artifact = packages.described(build, entry)
        with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
            out = Path(scratch) / "record.json"
            command = self._command(build, entry, unit, request, out)
            completed = self.run(command, request.timeout_s + _GRACE_S)
            return self._record(out, artifact, unit, completed, request)

    def _command(
        self, build: Build, entry: Entry, unit: str, request: Request, out: Path
    ) -> list[str]:
        command = [str(self.runner), str(build.path(entry)), "--out", str(out)]
        command += ["--compute-unit", unit, "--runs", str(request.runs)]
        command += ["--warmup", str(request.warmup_runs), "--timeout", str(request.timeout_s)]
        if packages.has_golden_pack(build):
            command += ["--golden", str(build.folder / golden.FOLDER)]
        return command

    def _record(
        self, out: Path, artifact: Artifact, unit: str, completed: tool.Completed, request: Request
    ) -> Record:
        try:
            return results.read(out, artifact, unit)
        except UsageError as problem:
            failure = results.why_none(completed, request.timeout_s, problem)
            return results.failed("host", artifact, self.machine, unit, failure)


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every Core ML package of a build on this Mac.

    Args:
        build: The build; the error of every output is told if it holds a golden pack.
        settings: Rounds, of 50 inferences each; `place` names compute units, separated by commas,
            all four if it is None.
        report: Told each package's name as it comes to it.

    Returns:
        A record for each package and compute unit, in that order.

    Raises:
        BackendMissingError: This is no Mac, or it has no Swift.
        UsageError: The build holds no Core ML package, or a compute unit is unknown.
    """
    request = of_mac(settings)
    entries = packages.packages_of(build)
    mac = this_mac()
    records = []
    for entry in entries:
        report(entry.file)
        records += [mac.measure(build, entry, unit, request) for unit in request.compute_units]
    return tuple(records)


def this_mac(run: tool.Run = tool.run) -> Mac:
    """Finds or builds the runner, and asks it where it is.

    Raises:
        BackendMissingError: This is no Mac, or it has no Swift, or the runner does not build.
    """
    require_macos("Core ML predicts on macOS only", "run the same command on a Mac")
    runner = _runner(run)
    try:
        told = run([str(runner), "--machine"], _MACHINE_TIMEOUT_S)
        if told.returncode != 0:
            raise UsageError(told.complaint)
        machine = structure(json.loads(told.stdout), Machine, where="the machine")
    except (OSError, UsageError, ValueError) as error:
        raise BackendMissingError(
            f"{runner} does not run here",
            why=str(error),
            fix=f"swift package clean --package-path {SWIFT_PACKAGE}",
        ) from None
    return Mac(runner, machine, run)


def require_macos(why: str, fix: str) -> None:
    """Stops where there can be no Core ML.

    Args:
        why: What is missing elsewhere.
        fix: What to do.

    Raises:
        BackendMissingError: This is no Mac.
    """
    if sys.platform != "darwin":
        raise BackendMissingError(
            "nothing can be measured here", why=f"{why}; this is {platform.system()}", fix=fix
        )


def _runner(run: tool.Run) -> Path:
    if (named := os.environ.get(RUNNER_VARIABLE)) is not None:
        path = Path(named)
        if path.is_file():
            return path
        raise BackendMissingError(
            f"no runner at {path}",
            why=f"{RUNNER_VARIABLE} names it",
            fix=f"unset {RUNNER_VARIABLE}: it is built then",
        )
    if not SWIFT_PACKAGE.is_dir():
        raise BackendMissingError(
            "the Swift package of ios_bench is missing",
            why="it stands in agecompact's repository, and in no wheel",
            fix=f"clone the repository, or name a built runner in {RUNNER_VARIABLE}",
        )
    if shutil.which("swift") is None:
        raise BackendMissingError(
            "the runner cannot be built",
            why="there is no 'swift' on the PATH",
            fix="xcode-select --install",
        )
    build = ["swift", "build", "-c", "release", "--package-path", str(SWIFT_PACKAGE)]
    built = run([*build, "--product", RUNNER], _BUILD_TIMEOUT_S)
    place = run([*build, "--show-bin-path"], _BUILD_TIMEOUT_S) if built.returncode == 0 else built
    if place.returncode != 0:
        raise BackendMissingError(
            "the runner does not build",
            why="it took too long" if place.timed_out else place.complaint,
            fix=f"see what it says: {' '.join(build)}",
        )
    return Path(place.stdout.strip()) / RUNNER
