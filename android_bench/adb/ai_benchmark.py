"""The AI Benchmark app: what it needs of a build, and its result as a record.

The app's PRO mode runs a TFLite file of the user's: it looks for `model.tflite` in the phone's
Download folder, takes the runtime that is chosen on its screen, and shows the latency or an error
log (ai-benchmark.com, news of 31 May 2020, "AI Benchmark v4"). It tells no samples and has no way
out but its screen, so its result is typed in, and what was not typed is unknown.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.files import BuildFile, described, measured_files
from agecompact.bench.record import Record, now
from agecompact.bench.timing import Latency, Startup
from agecompact.errors import UsageError
from agecompact.files import atomic_path

_MODEL = "model.tflite"
_INSTRUCTIONS = "INSTRUCTIONS.txt"
_RUNTIME = "AI Benchmark"

# The app's words for what computes, by what a record calls it.
ACCELERATIONS: Mapping[str, str] = {
    "none": "CPU",
    "xnnpack": "CPU with XNNPACK",
    "nnapi": "Android NNAPI",
    "gpu": "TFLite GPU delegate",
    "hexagon": "Qualcomm Hexagon NN",
    "eden": "Samsung Eden",
}


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What the app's screen showed.

    Attributes:
        acceleration: What computed, of `ACCELERATIONS`.
        runs: Inferences it made.
        mean_ms: Average latency.
        std_ms: Its standard deviation; None if it was not shown.
        min_ms: Least, likewise.
        max_ms: Greatest, likewise.
        init_ms: Time to load the model, likewise.
        warmup: Inferences before the timed ones, likewise.
        threads: Threads, likewise.
        version: The app's version, likewise.
    """

    acceleration: str
    runs: int
    mean_ms: float
    std_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    init_ms: float | None = None
    warmup: int | None = None
    threads: int | None = None
    version: str | None = None


def export(build: Build, out: Path) -> Path:
    """Writes what the app needs: the float32 TFLite file under the app's name, and how to use it.

    Args:
        build: The build.
        out: Folder to write into; its own folder for the model is made there.

    Returns:
        The model's folder.

    Raises:
        UsageError: The build has no float32 TFLite file.
        OutputError: The folder cannot be written.
    """
    file = _float32(build)
    folder = out / build.manifest.model
    with atomic_path(folder) as partial:
        partial.mkdir()
        shutil.copy(file.path, partial / _MODEL)
        (partial / _INSTRUCTIONS).write_text(_instructions(build, file), encoding="utf-8")
    return folder


def _float32(build: Build) -> BuildFile:
    for file in measured_files(build):
        if (file.format, file.precision) == ("tflite", "float32"):
            return file
    raise UsageError(
        f"{build.folder} holds no float32 TFLite file",
        why="AI Benchmark takes no other format",
        fix=f"agecompact export {build.manifest.model} --format tflite",
    )


def _instructions(build: Build, file: BuildFile) -> str:
    model, name = build.manifest.model, file.path.name
    digest = described(file).sha256
    accelerations = "\n".join(f"     {name:<8} {words}" for name, words in ACCELERATIONS.items())
    return f"""AI Benchmark: {name}

{_MODEL} is {name} of agecompact, sha256
{digest}

1. Install "AI Benchmark" (version 4 or newer) on the phone.
2. Copy {_MODEL} into the phone's Download folder:
     adb push {_MODEL} /sdcard/Download/{_MODEL}
   or over USB as you copy photos.
3. Charge the phone, let it cool, close other apps, switch off battery saving.
4. In the app, open the PRO mode and choose the custom model. If it does not find the file, choose
   it by hand; the file manager shows it once "Show internal storage" is on.
5. Choose the acceleration:
{accelerations}
   Run it with at least 30 inferences.
6. Write down what the screen shows, all times in milliseconds, and enter it:
     agecompact bench ai-benchmark enter {build.folder} --device "Maker Model" --android 14 \\
       --acceleration xnnpack --runs 50 --mean-ms 0.00

   --std-ms, --min-ms, --max-ms, --init-ms, --warmup, --threads and --version take what else it
   showed. An error is no time: enter nothing.

The record is of the file named above. The app feeds {model} no faces, so that it says nothing of
its answers: agecompact parity and agecompact bench --on adb do.
"""


def entered(build: Build, machine: Machine, typed: Typed) -> Record:
    """The app's result as a record; whatever it did not tell is unknown.

    Args:
        build: The build that was exported.
        machine: The phone.
        typed: What the screen showed.

    Raises:
        UsageError: The build has no such file, or the figures contradict each other.
    """
    if typed.acceleration not in ACCELERATIONS:
        raise UsageError(
            f"AI Benchmark has no acceleration '{typed.acceleration}'",
            why=f"known: {', '.join(ACCELERATIONS)}",
        )
    unknown = {"output_error": "AI Benchmark shows no outputs"}
    if typed.warmup is None:
        unknown["warmup_runs"] = "AI Benchmark did not tell"
    return Record(
        source="device",
        artifact=described(_float32(build)),
        machine=machine,
        runtime=Runtime(
            name=_RUNTIME,
            version=f"{_RUNTIME} {typed.version}" if typed.version else None,
            threads=typed.threads,
            # The app shows an error instead of a time where its choice does not run.
            delegate=Delegate(asked=typed.acceleration, got=typed.acceleration),
        ),
        latency=Latency(
            warmup_runs=typed.warmup,
            timed_runs=typed.runs,
            mean_ms=typed.mean_ms,
            std_ms=typed.std_ms,
            min_ms=typed.min_ms,
            max_ms=typed.max_ms,
        ),
        startup=Startup(init_ms=typed.init_ms) if typed.init_ms is not None else None,
        unknown=unknown,
        taken_at=now(),
    )
