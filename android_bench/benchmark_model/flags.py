"""The command line of a benchmark tool, from the flags that it knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Family = Literal["tflite", "litert"]

_FLAG = re.compile(r"--(\w+)=")
# Longer than any useful run; the tool's default of 150 s would cut a long one short.
_MAX_SECS = 3600


def known_flags(help_text: str) -> frozenset[str]:
    """Names of the flags that a tool's `--help` lists; empty if it lists none."""
    return frozenset(_FLAG.findall(help_text))


def family_of(known: frozenset[str]) -> Family:
    """Which of the two tools it is: only LiteRT's names the CPU as an accelerator."""
    return "litert" if "use_cpu" in known and "use_xnnpack" not in known else "tflite"


def command_line(
    program: str, graph: str, delegate: Sequence[str], *, threads: int, runs: int, warmup: int
) -> tuple[str, ...]:
    """The words that run an exact number of inferences.

    By default the tool ignores its counts: it warms up for at least half a second, times for at
    least one, and stops after 150 s. `min_secs`, `warmup_min_secs` and `max_secs` turn that off
    (TensorFlow's tools/benchmark/README.md).

    Args:
        program: The tool.
        graph: The model file.
        delegate: Flags that request the delegate.
        threads: Threads.
        runs: Timed inferences.
        warmup: Inferences before them, the first one included.
    """
    return (
        program,
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--num_runs={runs}",
        f"--warmup_runs={warmup}",
        "--min_secs=0",
        "--warmup_min_secs=0",
        f"--max_secs={_MAX_SECS}",
        *delegate,
    )


_PROFILING: tuple[Mapping[str, str], ...] = (
    {
        "enable_op_profiling": "true",
        "op_profiling_output_mode": "csv",
        "op_profiling_output_file": "",
    },
    {"enable_op_profiling": "true", "profiling_output_csv_file": ""},
)


def profiling(known: frozenset[str], file: str) -> tuple[str, ...] | None:
    """Flags that write the time by op into a CSV file; None if the tool has none.

    Args:
        known: Flags that the tool knows; empty if it lists none, and then it is assumed to have
            them.
        file: The file on the device.
    """
    for form in _PROFILING:
        if not known or form.keys() <= known:
            return tuple(f"--{name}={value or file}" for name, value in form.items())
    return None
