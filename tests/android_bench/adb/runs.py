"""Ways to run a build on the phone, and to act while it runs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agecompact.artifacts.manifest import Build
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from android_bench.adb.measure import measure
from android_bench.adb.options import Options
from tests.android_bench.adb.phone import Phone
from tests.android_bench.saved_outputs import saved

# An emulated inference takes a second or two.
FEW = Options(runs=1, warmup=1, rounds=1)
# A duration that no other program uses.
FOREVER = f"sleep {100_000 + os.getpid()}"
STARTED = f"touch /device/started; exec {FOREVER}"


def tool(folder: Path, before: str = "sleep 0.1", saved_as: str = "", **options: Any) -> Options:
    """Options with a `benchmark_model` that runs a shell command and prints a saved output.

    Args:
        folder: Folder for the tool.
        before: The command.
        saved_as: Variant of `composed_tflite_2`.
        options: Other options.
    """
    path = folder / "benchmark_model"
    output = saved("_".join(filter(None, ("composed_tflite_2", saved_as))))
    path.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --help ] && { echo "Flags: --graph= --use_xnnpack= --use_gpu="; exit 1; }\n'
        f"{before}\ncat <<'SAVED'\n{output}SAVED\n"
    )
    few = {"runs": 50, "warmup": 5, "rounds": 1}
    return Options(engine="benchmark-model", benchmark_model=path, **{**few, **options})


def only(build: Build, options: Options) -> Record:
    """The validated record of a build with one TFLite file."""
    (record,) = measure(build, options)
    return validated(record)


def runs_forever() -> bool:
    """Whether a program that should have been killed still runs."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return FOREVER in listed.stdout.splitlines()


def when_started(phone: Phone, action: Callable[[], None]) -> threading.Thread:
    """Calls a function as soon as a program runs on the phone."""

    def wait() -> None:
        until = time.monotonic() + 60
        while not (phone.device / "started").exists() and time.monotonic() < until:
            time.sleep(0.05)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def reasons(record: Record) -> dict[str, str]:
    """Why a record is not valid, by rule."""
    return {reason.rule: reason.text for reason in record.reasons}
