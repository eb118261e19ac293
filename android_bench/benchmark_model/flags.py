"""The command line of a benchmark tool, made of the flags that it knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Family = Literal["tflite", "litert"]

_FLAG = re.compile(r"--(\w+)=")
# Longer than any run that is worth its battery; the tool's own 150 s would cut a long one short.
_MAX_SECS = 3600


@dataclass(frozen=True)
class Counts:
    """How often and with how many threads.

    Attributes:
        threads: Threads.
        runs: Timed inferences.
        warmup: Inferences before them, the first one included.
    """

    threads: int
    runs: int
    warmup: int


def known_flags(help_text: str) -> frozenset[str]:
    """Names of the flags that a tool's `--help` lists; empty where it lists none."""
    return frozenset(_FLAG.findall(help_text))


def family_of(known: frozenset[str]) -> Family:
    """Which of the two tools it is: only LiteRT's takes the processor as an accelerator."""
    return "litert" if "use_cpu" in known and "use_xnnpack" not in known else "tflite"


def command_line(
    program: str, graph: str, counts: Counts, delegate: Sequence[str]
) -> tuple[str, ...]:
    """The words of a run of exactly so many inferences.

    By default the tool goes on for half a second of warm-up and for a second of timed runs, and
    stops after 150 s, whatever counts it was given: `min_secs`, `warmup_min_secs` and `max_secs`
    turn that off (TensorFlow's tools/benchmark/README.md).

    Args:
        program: The tool.
        graph: The model file.
        counts: How often.
        delegate: Flags that ask for the delegate.
    """
    return (
        program,
        f"--graph={graph}",
        f"--num_threads={counts.threads}",
        f"--num_runs={counts.runs}",
        f"--warmup_runs={counts.warmup}",
        "--min_secs=0",
        "--warmup_min_secs=0",
        f"--max_secs={_MAX_SECS}",
        *delegate,
    )


def profiling(known: frozenset[str], file: str) -> tuple[str, ...] | None:
    """Flags that write the time by op into a CSV file; None where the tool cannot.

    Args:
        known: Flags that the tool knows; empty where it does not tell, which is taken for yes.
        file: The file on the device.
    """
    for form in _PROFILING:
        if not known or form.keys() <= known:
            return tuple(f"--{name}={value or file}" for name, value in form.items())
    return None


_PROFILING: tuple[Mapping[str, str], ...] = (
    {
        "enable_op_profiling": "true",
        "op_profiling_output_mode": "csv",
        "op_profiling_output_file": "",
    },
    {"enable_op_profiling": "true", "profiling_output_csv_file": ""},
)
