"""The AI Benchmark app: the file that it needs, and its result as a record.

The app's PRO mode runs a TFLite file of the user: it looks for `model.tflite` in the phone's
Download folder, runs it with the acceleration chosen on its screen, and shows the latency or an
error log (ai-benchmark.com, news of 31 May 2020, "AI Benchmark v4"). It shows no samples and
exports nothing, so its result is typed in, and what it does not show is unknown.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.files import BuildFile, described, measured_files, reference_of
from agecompact.bench.record import Record, now
from agecompact.bench.timing import Latency, Startup
from agecompact.errors import UsageError
from agecompact.files import atomic_path

_MODEL = "model.tflite"
_INSTRUCTIONS = "INSTRUCTIONS.txt"
_RUNTIME = "AI Benchmark"

# What the app calls each delegate, by the name in records.
ACCELERATIONS: Mapping[str, str] = {
    "none": "CPU",
    "xnnpack": "CPU with XNNPACK",
    "nnapi": "Android NNAPI",
    "gpu": "TFLite GPU delegate",
    "hexagon": "Qualcomm Hexagon NN",
    "eden": "Samsung Eden",
}


def export(build: Build, out: Path) -> Path:
    """Writes the float32 TFLite file under the app's name for it, and instructions.

    Args:
        build: The build.
        out: Output folder, in which the model gets its own folder.

    Returns:
        The model's folder.

    Raises:
        UsageError: The build has no float32 TFLite file.
        OutputError: The folder cannot be written.
    """
    file = _reference_file(build)
    folder = out / build.manifest.model
    with atomic_path(folder) as partial:
        partial.mkdir()
        shutil.copy(file.path, partial / _MODEL)
        (partial / _INSTRUCTIONS).write_text(_instructions(build, file), encoding="utf-8")
    return folder


def _reference_file(build: Build) -> BuildFile:
    """The float32 TFLite file."""
    for file in measured_files(build):
        if file.path.name == reference_of(build):
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
   or over USB, as you copy photos.
3. Charge the phone, let it cool, close other apps, switch off battery saving.
4. In the app, open the PRO mode and choose the custom model. If it does not find the file, choose
   it by hand; the file manager shows it once "Show internal storage" is on.
5. Choose the acceleration:
{accelerations}
   Run it with at least 30 inferences.
6. Write down what the screen shows, all times in milliseconds, and enter it:
     agecompact bench ai-benchmark enter {build.folder} --device "Maker Model" --android 14 \\
       --acceleration xnnpack --runs 50 --mean-ms 0.00

   --std-ms, --min-ms, --max-ms, --init-ms, --warmup, --threads and --version take the other values
   that it shows. If it shows an error, enter nothing.

The record is of the file named above. The app runs {model} on its own inputs, so the record has no
output error: agecompact parity and agecompact bench --on adb measure that.
"""


def entered(
    build: Build,
    machine: Machine,
    *,
    acceleration: str,
    runs: int,
    mean_ms: float,
    std_ms: float | None = None,
    min_ms: float | None = None,
    max_ms: float | None = None,
    init_ms: float | None = None,
    warmup: int | None = None,
    threads: int | None = None,
    version: str | None = None,
) -> Record:
    """The app's result as a record; None is what it does not show.

    Args:
        build: The build that was exported.
        machine: The phone.
        acceleration: What computed the graph, one of `ACCELERATIONS`.
        runs: Timed inferences.
        mean_ms: Average latency.
        std_ms: Standard deviation.
        min_ms: Minimum.
        max_ms: Maximum.
        init_ms: Time to load the model.
        warmup: Inferences before the timed ones.
        threads: Threads.
        version: The app's version.

    Raises:
        UsageError: The build has no such file, or the figures contradict each other.
    """
    unknown = {"output_error": "AI Benchmark shows no outputs"}
    if warmup is None:
        unknown["warmup_runs"] = "AI Benchmark did not show it"
    return Record(
        source="device",
        artifact=described(_reference_file(build)),
        machine=machine,
        runtime=Runtime(
            name=_RUNTIME,
            version=f"{_RUNTIME} {version}" if version else None,
            threads=threads,
            # If the chosen acceleration does not run, the app shows an error instead of a time.
            delegate=Delegate(asked=acceleration, got=acceleration),
        ),
        latency=Latency(
            warmup_runs=warmup,
            timed_runs=runs,
            mean_ms=mean_ms,
            std_ms=std_ms,
            min_ms=min_ms,
            max_ms=max_ms,
        ),
        startup=Startup(init_ms=init_ms) if init_ms is not None else None,
        unknown=unknown,
        taken_at=now(),
    )
