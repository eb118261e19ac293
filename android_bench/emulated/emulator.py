"""Runs the runner on an emulated processor and counts its instructions.

qemu-user translates the program's instructions and passes its system calls to this machine's
kernel. What the program reads about its machine comes from a folder made here (`-L`), so that it
sees neither this machine's processor nor its number of cores.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError
from agecompact.scratch import scratch_folder
from android_bench.emulated import counts
from android_bench.emulated.bundle import LITERT, LOADER, RUNNER, Bundle
from android_bench.emulated.counts import ProcessCounts
from android_bench.emulated.cpus import Cpu
from android_bench.failure import MeasurementFailure, last_lines
from android_bench.native import output
from android_bench.native.output import RunnerOutput

# The guest's C library mixes it into hashes of pointers.
_SEED = "1"
_COUNTS = "counts.txt"
_CPUINFO = Path("proc/cpuinfo")
_CORES = Path("sys/devices/system/cpu")
_SIGNALS = {
    signal.SIGILL: "an instruction that the processor lacks",
    signal.SIGSEGV: "bad memory",
}
_FIX = "use qemu-user 7.2 of Debian 12; qemu-user-static and qemu 10 take no plugins"


@dataclass(frozen=True)
class EmulatedProcess:
    """A process that ran to its end.

    Attributes:
        output: What the runner printed. Its times are the emulator's, and not used.
        counts: What the plugin counted.
        log: What LiteRT logged.
    """

    output: RunnerOutput
    counts: ProcessCounts
    log: str


@dataclass(frozen=True)
class EmulationSettings:
    """How much to run.

    Attributes:
        samples: Golden samples to run.
        warmup: Inferences between the first and the counted ones: the second may still differ by a
            few hundred instructions.
        runs: Inferences to count in each process, which must agree.
        processes: Processes to count in.
        timeout_s: Longest that one process may take; minutes, because other programs take cores.
    """

    samples: int = 4
    warmup: int = 1
    runs: int = 2
    processes: int = 2
    timeout_s: float = 900.0


def run(
    bundle: Bundle, cpu: Cpu, artifact: Path, pack: Path, settings: EmulationSettings
) -> EmulatedProcess:
    """Runs an artefact in one process with one thread.

    Args:
        bundle: What runs.
        cpu: The processor.
        artifact: A `.tflite` file.
        pack: Folder of a golden pack.
        settings: How much to run.

    Raises:
        MeasurementFailure: It failed, crashed, took too long or printed too little.
    """
    with scratch_folder() as folder:
        # Links with fixed names: a longer path takes more instructions.
        for link, target in (("model.tflite", artifact), ("golden", pack)):
            (folder / link).symlink_to(target.resolve())
        arguments = ["--library", f"bundle/{LITERT}", "--model", "model.tflite"]
        arguments += ["--golden", "golden", "--threads", "1", "--samples", str(settings.samples)]
        arguments += ["--warmup", str(settings.warmup), "--runs", str(settings.runs)]
        make_root(folder / "root", cpu)
        done = start(bundle, cpu, folder, arguments, settings.timeout_s)
        if done.returncode < 0:
            raise _crashed(-done.returncode, done.stderr)
        parsed = output.parse(done.stdout, done.returncode)
        return EmulatedProcess(parsed, counts.parse(_read(folder / _COUNTS)), done.stderr)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise MeasurementFailure("truncated", "the plugin wrote no counts") from None


def make_root(root: Path, cpu: Cpu) -> None:
    """Writes the files in which the guest finds one core of the processor."""
    for path, text in (
        (_CPUINFO, cpu.cpuinfo()),
        (_CORES / "possible", "0\n"),
        (_CORES / "present", "0\n"),
        (_CORES / "online", "0\n"),
        (_CORES / "kernel_max", "0\n"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def start(
    bundle: Bundle, cpu: Cpu, folder: Path, arguments: Sequence[str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Runs the runner in a folder that holds `root`, as `make_root` makes it.

    Raises:
        MeasurementFailure: It took too long, or `root` is missing.
    """
    if not (folder / "root" / _CPUINFO).is_file():
        raise MeasurementFailure(
            "missing-cpuinfo", "LiteRT would read this machine's own /proc/cpuinfo and crash"
        )
    (folder / "bundle").symlink_to(bundle.guest.resolve())
    plugin = str(bundle.plugin).replace(",", ",,")
    command = [str(bundle.qemu), "-U", "LD_LIBRARY_PATH", "-seed", _SEED, "-cpu", cpu.name]
    command += ["-L", "root", "-plugin", f"{plugin},out={_COUNTS}"]
    # The loader's cache would be this machine's list of x86 libraries.
    command += [f"bundle/{LOADER}", "--inhibit-cache", "--library-path", "bundle"]
    try:
        return children.run(
            [*command, f"bundle/{RUNNER}", *arguments],
            cwd=folder,
            env=bundle.environment(),
            timeout_s=timeout_s,
        )
    except children.TimedOut as expired:
        why = f"it did not end within {timeout_s:g} s: {last_lines(expired.stderr)}"
        raise MeasurementFailure("timeout", why) from None


def _crashed(number: int, log: str) -> MeasurementFailure:
    name = signal.Signals(number)
    cause = f" ({_SIGNALS[name]})" if name in _SIGNALS else ""
    return MeasurementFailure("crash", f"signal {name.name}{cause}: {last_lines(log)}")


def check(bundle: Bundle, cpu: Cpu) -> None:
    """Checks that the emulator starts the runner and loads the plugin.

    Raises:
        BackendMissingError: It does not.
    """
    with scratch_folder() as folder:
        make_root(folder / "root", cpu)
        done = start(bundle, cpu, folder, ["--help"], 300)
        path = folder / _COUNTS
        counted = path.is_file() and path.read_text().endswith(f"{counts.END}\n")
    if not done.stdout.startswith("agecompact-runner ") or not counted:
        raise BackendMissingError(
            "the emulator does not run the ARM runner, or takes no plugins",
            why=f"qemu {version(bundle)}, exit code {done.returncode}: {last_lines(done.stderr)}",
            fix=_FIX,
        )


def version(bundle: Bundle) -> str:
    """Version of the bundle's qemu, such as `7.2.22`.

    Raises:
        BackendMissingError: It does not run here.
    """
    command, environment = [str(bundle.qemu), "--version"], bundle.environment()
    try:
        done = children.run(command, env=environment, timeout_s=60)
        match = re.search(r"version (\d+(\.\d+)+)", done.stdout)
        why = last_lines(done.stderr)
    except OSError as error:
        match, why = None, str(error)
    if match is None:
        raise BackendMissingError(f"{bundle.qemu} does not run here", why=why, fix=_FIX)
    return match[1]
