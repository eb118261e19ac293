"""A whole run of a benchmark tool, from what it printed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from android_bench.benchmark_model import delegation, statistics
from android_bench.benchmark_model.delegation import Delegation
from android_bench.benchmark_model.failure import UnreadableOutputError
from android_bench.benchmark_model.statistics import NUMBER, US_PER_MS, RunStatistics

Form = Literal["tflite-1", "tflite-2", "litert"]

_BYTES_PER_MIB = 1024 * 1024
# Both spell one and the same mean, in six digits.
_TOLERANCE = 2e-5
# LiteRT rounds to 0.01 ms.
_LITERT_ROUNDING_MS = 0.0051

_FIRST_GENERATION = re.compile(
    rf"Average inference timings in us: Warmup: ({NUMBER}), Init: ({NUMBER}), "
    rf"(?:no stats|Inference): ({NUMBER})\s*$"
)
_SECOND_GENERATION = re.compile(
    rf"Inference timings in us: Init: ({NUMBER}), First inference: ({NUMBER}), "
    rf"Warmup \(avg\): ({NUMBER}), Inference \(avg\): ({NUMBER})\s*$"
)
_LITERT_TITLE = "BENCHMARK RESULTS"
_LITERT_LINE = re.compile(
    rf"(Model initialization|Warmup \(\w+\)|Inference \(\w+\)): +({NUMBER})(?: ms)?"
    r"(?: \((\d+) runs\))?\s*$"
)
_LITERT_END = re.compile(r"={30,}\s*$")
_LITERT_NEEDED = (
    "Model initialization",
    "Warmup (first)",
    "Warmup (avg)",
    "Inference (avg)",
    "Inference (min)",
    "Inference (max)",
    "Inference (std)",
)
_FOOTPRINT = (
    re.compile(rf"(?:Memory footprint delta|Peak memory footprint).*overall=({NUMBER})\s*$"),
    re.compile(rf"Overall footprint: +({NUMBER}) MB\s*$"),
)
# A profile on the screen ends with rows of its own, which look like those of the runs.
_PROFILED = re.compile(r"Timings \(microseconds\): |Memory \(bytes\): ")
_FAILED = re.compile(
    r"(Benchmarking failed\.?|Failed to (?:load|initialize|allocate|apply|parse)\b.*|"
    r"failed to prepare\b.*|Disallowed CPU fallback detected\.?|Run failed)"
)


@dataclass(frozen=True)
class BenchmarkOutput:
    """A whole run.

    Attributes:
        form: Which of the tools printed it.
        init_ms: Time to load the model and make it ready.
        first_inference_ms: The first inference, a warm-up one.
        warmup: The inferences before the timed ones.
        timed: The inferences that count.
        delegation: What was said of delegates.
        footprint_bytes: How much its memory grew, as it tells it itself; None if it does not.
    """

    form: Form
    init_ms: float
    first_inference_ms: float
    warmup: RunStatistics
    timed: RunStatistics
    delegation: Delegation
    footprint_bytes: int | None


@dataclass(frozen=True)
class _Summary:
    """The last lines, in ms."""

    form: Form
    init_ms: float
    first_ms: float | None
    warmup: RunStatistics | None
    warmup_mean_ms: float
    timed: RunStatistics | None
    timed_mean_ms: float


def parse(text: str) -> BenchmarkOutput:
    """Reads what a tool printed, standard output and standard error together or apart.

    Raises:
        UnreadableOutputError: The run was cut off or failed, or contradicts itself.
    """
    lines = _whole_lines(text)
    rows = [
        row
        for line in lines
        if not _PROFILED.search(line) and (row := statistics.find(line)) is not None
    ]
    summary = _summary(lines)
    if summary is None:
        raise _without_summary(lines, len(rows))
    warmup, timed = _rows(rows, summary)
    first_ms = summary.first_ms if summary.first_ms is not None else warmup.first_ms
    if first_ms is None:
        raise UnreadableOutputError("truncated", "it lacks the first inference")
    return BenchmarkOutput(
        form=summary.form,
        init_ms=summary.init_ms,
        first_inference_ms=first_ms,
        warmup=warmup,
        timed=timed,
        delegation=delegation.find(lines),
        footprint_bytes=_footprint_bytes(lines),
    )


def _whole_lines(text: str) -> list[str]:
    """Lines that have an end: a figure may go on beyond the last one that has none."""
    return [line.rstrip("\r\n") for line in text.splitlines(keepends=True) if line[-1] in "\r\n"]


def _summary(lines: list[str]) -> _Summary | None:
    for line in reversed(lines):
        if match := _SECOND_GENERATION.search(line):
            init, first, warmup, timed = (float(value) / US_PER_MS for value in match.groups())
            return _Summary("tflite-2", init, first, None, warmup, None, timed)
        if match := _FIRST_GENERATION.search(line):
            warmup, init, timed = (float(value) / US_PER_MS for value in match.groups())
            return _Summary("tflite-1", init, None, None, warmup, None, timed)
    return _litert_summary(lines)


def _litert_summary(lines: list[str]) -> _Summary | None:
    titles = [i for i, line in enumerate(lines) if _LITERT_TITLE in line]
    if not titles:
        return None
    ms: dict[str, float] = {}
    runs: dict[str, int] = {}
    ended = False
    for line in lines[titles[-1] + 1 :]:
        if match := _LITERT_LINE.search(line):
            ms[match[1]] = float(match[2])
            if match[3]:
                runs[match[1]] = int(match[3])
        # One tool rules off its title as well as its end.
        ended = bool(ms) and (ended or _LITERT_END.search(line) is not None)
    missing = [name for name in _LITERT_NEEDED if name not in ms]
    missing += [f"runs of {n}" for n in ("Warmup (avg)", "Inference (avg)") if n not in runs]
    missing += [] if ended else ["their end"]
    if missing:
        raise UnreadableOutputError("truncated", f"its results lack {', '.join(missing)}")
    timed = RunStatistics(
        count=runs["Inference (avg)"],
        mean_ms=ms["Inference (avg)"],
        min_ms=ms["Inference (min)"],
        max_ms=ms["Inference (max)"],
        std_ms=ms["Inference (std)"],
        p5_ms=ms.get("Inference (p5)"),
        median_ms=ms.get("Inference (median)"),
        p95_ms=ms.get("Inference (p95)"),
    )
    first = ms["Warmup (first)"]
    warmup = RunStatistics(count=runs["Warmup (avg)"], mean_ms=ms["Warmup (avg)"], first_ms=first)
    init = ms["Model initialization"]
    return _Summary("litert", init, first, warmup, warmup.mean_ms, timed, timed.mean_ms)


def _rows(rows: list[RunStatistics], told: _Summary) -> tuple[RunStatistics, RunStatistics]:
    """The warm-up's row and the timed one; the last two, as profiling may print others before."""
    if len(rows) < 2:
        # LiteRT's rows may be hidden by its log level, and its summary tells the same in 0.01 ms.
        if told.warmup is not None and told.timed is not None and not rows:
            return told.warmup, told.timed
        raise UnreadableOutputError(
            "truncated", f"it lacks the row of {'timed' if rows else 'warm-up and timed'} runs"
        )
    warmup, timed = rows[-2:]
    _agree("warm-up", warmup.mean_ms, told.warmup_mean_ms, told.form)
    _agree("timed", timed.mean_ms, told.timed_mean_ms, told.form)
    for name, row, other in (("warm-up", warmup, told.warmup), ("timed", timed, told.timed)):
        if other is not None and row.count != other.count:
            raise UnreadableOutputError(
                "contradictory", f"{row.count} {name} runs, and {other.count} in its results"
            )
    return warmup, replace(timed, median_ms=timed.median_ms or _median(told))


def _median(told: _Summary) -> float | None:
    return told.timed.median_ms if told.timed is not None else None


def _agree(name: str, row_ms: float, summary_ms: float, form: Form) -> None:
    slack = _LITERT_ROUNDING_MS if form == "litert" else 0.0
    if not math.isclose(row_ms, summary_ms, rel_tol=_TOLERANCE, abs_tol=slack):
        raise UnreadableOutputError(
            "contradictory",
            f"its {name} runs took {row_ms:g} ms on average, and {summary_ms:g} ms in its summary",
        )


def _without_summary(lines: list[str], rows: int) -> UnreadableOutputError:
    for line in reversed(lines):
        if match := _FAILED.search(line):
            return UnreadableOutputError("failed", _cause(lines) or match[1].strip())
    had = {0: "it has no figures at all", 1: "it ends after its warm-up"}
    return UnreadableOutputError(
        "truncated", f"{had.get(rows, 'it ends before its summary')}: no 'Inference timings' line"
    )


def _cause(lines: list[str]) -> str | None:
    """What the tool said before it gave up, which tells more than that it did."""
    told = [m[1].strip() for line in lines if (m := _FAILED.search(line))]
    causes = [text for text in told if not text.startswith("Benchmarking failed")]
    return causes[0] if causes else None


def _footprint_bytes(lines: list[str]) -> int | None:
    for line in reversed(lines):
        for pattern in _FOOTPRINT:
            if match := pattern.search(line):
                # The tools divide KiB by 1024 and call it MB; they tell what they cannot know as 0.
                return round(float(match[1]) * _BYTES_PER_MIB) or None
    return None
