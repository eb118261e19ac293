"""Runs the runner on an emulated processor, and counts.

qemu-user translates the program's instructions and hands its system calls to this machine's kernel.
What the program reads of its machine is put before it in a folder of ours (`-L`), so that neither
this machine's processor nor its number of cores shows through.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import BackendMissingError
from android_bench.emulated.counts import Counted
from android_bench.emulated.counts import parse as parse_counts
from android_bench.emulated.cpus import Cpu
from android_bench.emulated.stored import LITERT, LOADER, RUNNER, Bundle
from android_bench.native.failure import RunnerFailure, last_lines
from android_bench.native.output import RunnerOutput
from android_bench.native.output import parse as parse_output

# Of the guest's C library, which mixes it into hashes of pointers.
_SEED = "1"
_COUNTS = "counts.txt"
_CPUINFO = Path("proc/cpuinfo")
_CORES = Path("sys/devices/system/cpu")
_WHAT = {signal.SIGILL: "an instruction that the processor lacks", signal.SIGSEGV: "bad memory"}


@dataclass(frozen=True)
class Emulated:
    """One process that ran to its end.

    Attributes:
        output: What the runner told. Its times are the emulator's: nobody's latency.
        counted: What the plugin counted.
        log: What LiteRT logged.
    """

    output: RunnerOutput
    counted: Counted
    log: str


@dataclass(frozen=True)
class Settings:
    """How often.

    Attributes:
        samples: Golden samples to answer.
        warmup: Inferences between the first and the counted: the second may still differ by a few
            hundred instructions.
        runs: Inferences to count in each process, which must agree.
        processes: Processes to count in.
        timeout_s: Longest that one process may take; minutes, where other programs take the cores.
    """

    samples: int = 4
    warmup: int = 1
    runs: int = 2
    processes: int = 2
    timeout_s: float = 900.0


def run(
    bundle: Bundle, cpu: Cpu, artefact: Path, pack: Path, settings: Settings, *, samples: int
) -> Emulated:
    """Runs an artefact in one process of one thread.

    Args:
        bundle: What runs.
        cpu: On which processor.
        artefact: A `.tflite` file.
        pack: Folder of a golden pack.
        settings: How often and how long.
        samples: Golden samples to answer.

    Raises:
        RunnerFailure: It failed, crashed, took too long or was cut off.
    """
    with tempfile.TemporaryDirectory(prefix="agecompact-") as name:
        folder = Path(name)
        # By links of fixed names: a path that is longer takes more instructions.
        for link, target in (("model.tflite", artefact), ("golden", pack)):
            (folder / link).symlink_to(target.resolve())
        arguments = ["--library", f"bundle/{LITERT}", "--model", "model.tflite"]
        arguments += ["--golden", "golden", "--threads", "1", "--samples", str(samples)]
        arguments += ["--warmup", str(settings.warmup), "--runs", str(settings.runs)]
        make_root(folder / "root", cpu)
        done = start(bundle, cpu, folder, arguments, settings.timeout_s)
        if done.returncode < 0:
            raise _crashed(-done.returncode, done.stderr)
        output = parse_output(done.stdout, done.returncode)
        return Emulated(output, parse_counts(_read(folder / _COUNTS)), done.stderr)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise RunnerFailure("truncated", "the plugin counted nothing") from None


def make_root(root: Path, cpu: Cpu) -> None:
    """Writes what the guest reads of its machine: one core of the processor."""
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
    """Runs the runner in a folder whose `root` was made for the processor.

    Raises:
        RunnerFailure: It took too long, or `root` would let this machine's processor show through.
    """
    if not (folder / "root" / _CPUINFO).is_file():
        raise RunnerFailure(
            "missing-cpuinfo", "LiteRT would read this machine's own /proc/cpuinfo and crash"
        )
    (folder / "bundle").symlink_to(bundle.guest.resolve())
    plugin = str(bundle.plugin).replace(",", ",,")
    command = [str(bundle.qemu), "-U", "LD_LIBRARY_PATH", "-seed", _SEED, "-cpu", cpu.name]
    command += ["-L", "root", "-plugin", f"{plugin},out={_COUNTS}"]
    # Without the cache, which would be this machine's list of x86 libraries.
    command += [f"bundle/{LOADER}", "--inhibit-cache", "--library-path", "bundle"]
    try:
        return subprocess.run(
            [*command, f"bundle/{RUNNER}", *arguments],
            cwd=folder,
            env=bundle.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        raise RunnerFailure(
            "timeout", f"no end within {timeout_s:g} s: {last_lines(said)}"
        ) from None


def _crashed(number: int, log: str) -> RunnerFailure:
    name = signal.Signals(number)
    what = f" ({_WHAT[name]})" if name in _WHAT else ""
    return RunnerFailure("crash", f"signal {name.name}{what}: {last_lines(log)}")


def prove(bundle: Bundle, cpu: Cpu) -> None:
    """Checks that the emulator starts the runner and takes the plugin.

    Raises:
        BackendMissingError: It does not.
    """
    with tempfile.TemporaryDirectory(prefix="agecompact-") as name:
        folder = Path(name)
        make_root(folder / "root", cpu)
        done = start(bundle, cpu, folder, ["--help"], 300)
        counts = folder / _COUNTS
        counted = counts.is_file() and counts.read_text().endswith("end\n")
    if not done.stdout.startswith("agecompact-runner ") or not counted:
        raise BackendMissingError(
            "the emulator does not run the ARM runner, or takes no plugins",
            why=f"qemu {version(bundle)}, exit code {done.returncode}: {last_lines(done.stderr)}",
            fix="Debian 12's qemu-user 7.2 does; qemu-user-static and qemu 10 take no plugins",
        )


def version(bundle: Bundle) -> str:
    """Version of the bundle's qemu, such as `7.2.22`.

    Raises:
        BackendMissingError: It does not run here.
    """
    try:
        done = subprocess.run(
            [str(bundle.qemu), "--version"],
            env=bundle.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except OSError as error:
        raise BackendMissingError(f"{bundle.qemu} does not run here", why=str(error)) from None
    found = re.search(r"version (\d+(\.\d+)+)", done.stdout)
    if found is None:
        raise BackendMissingError(f"{bundle.qemu} does not run here", why=last_lines(done.stderr))
    return found[1]
