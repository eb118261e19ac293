"""Parses what a benchmark tool prints in one run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from android_bench.benchmark_model import delegation, statistics
from android_bench.benchmark_model.delegation import DelegateLog
from android_bench.benchmark_model.statistics import NUMBER, US_PER_MS, RunStatistics, figure
from android_bench.failure import MeasurementFailure

Form = Literal["tflite-1", "tflite-2", "litert"]

_BYTES_PER_MIB = 1024 * 1024
# A mean is printed twice, with six digits each.
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
    r"(?: \((\d{1,12}) runs\))?\s*$"
)
_LITERT_END = re.compile(r"={30,}\s*$")
_LITERT_REQUIRED = (
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
# A profile on the screen ends with lines that look like those of the runs.
_PROFILED = re.compile(r"Timings \(microseconds\): |Memory \(bytes\): ")
_FAILED = re.compile(
    r"(Benchmarking failed\.?|Failed to (?:load|initialize|allocate|apply|parse)\b.*|"
    r"failed to prepare\b.*|Disallowed CPU fallback detected\.?|Run failed)"
)


@dataclass(frozen=True)
class BenchmarkOutput:
    """A complete run.

    Attributes:
        form: Which of the tools printed it.
        init_ms: Time to load the model and make it ready.
        first_inference_ms: The first inference, which is part of the warm-up.
        warmup: The inferences before the timed ones.
        timed: The timed inferences.
        delegates: What was logged about delegates.
        footprint_bytes: Growth of its memory, as the tool reports it; None if it does not.
    """

    form: Form
    init_ms: float
    first_inference_ms: float
    warmup: RunStatistics
    timed: RunStatistics
    delegates: DelegateLog
    footprint_bytes: int | None


@dataclass(frozen=True)
class _Summary:
    """The last lines of a run, in ms. Only LiteRT's hold statistics."""

    form: Form
    init_ms: float
    first_ms: float | None
    warmup_mean_ms: float
    timed_mean_ms: float
    warmup: RunStatistics | None = None
    timed: RunStatistics | None = None


def parse(text: str) -> BenchmarkOutput:
    """Parses the output of one run, standard error included.

    Raises:
        MeasurementFailure: The run failed, or its output is truncated or contradicts itself.
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
    warmup, timed = _warmup_and_timed(rows, summary)
    first_ms = summary.first_ms if summary.first_ms is not None else warmup.first_ms
    if first_ms is None:
        raise MeasurementFailure("truncated", "it lacks the first inference")
    return BenchmarkOutput(
        form=summary.form,
        init_ms=summary.init_ms,
        first_inference_ms=first_ms,
        warmup=warmup,
        timed=timed,
        delegates=delegation.find(lines),
        footprint_bytes=_footprint_bytes(lines),
    )


def _whole_lines(text: str) -> list[str]:
    """Lines that have an end: a number may be cut off in the last one."""
    return [line.rstrip("\r\n") for line in text.splitlines(keepends=True) if line[-1] in "\r\n"]


def _summary(lines: list[str]) -> _Summary | None:
    for line in reversed(lines):
        if match := _SECOND_GENERATION.search(line):
            init, first, warmup, timed = (figure(value) / US_PER_MS for value in match.groups())
            return _Summary("tflite-2", init, first, warmup, timed)
        if match := _FIRST_GENERATION.search(line):
            warmup, init, timed = (figure(value) / US_PER_MS for value in match.groups())
            return _Summary("tflite-1", init, None, warmup, timed)
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
            ms[match[1]] = figure(match[2])
            if match[3]:
                runs[match[1]] = int(match[3])
        # One tool prints a rule under its title as well as at its end.
        ended = bool(ms) and (ended or _LITERT_END.search(line) is not None)
    missing = [name for name in _LITERT_REQUIRED if name not in ms]
    missing += [f"runs of {n}" for n in ("Warmup (avg)", "Inference (avg)") if n not in runs]
    missing += [] if ended else ["their end"]
    if missing:
        raise MeasurementFailure("truncated", f"its results lack {', '.join(missing)}")
    first_ms = ms["Warmup (first)"]
    return _Summary(
        form="litert",
        init_ms=ms["Model initialization"],
        first_ms=first_ms,
        warmup_mean_ms=ms["Warmup (avg)"],
        timed_mean_ms=ms["Inference (avg)"],
        warmup=RunStatistics(
            count=runs["Warmup (avg)"], mean_ms=ms["Warmup (avg)"], first_ms=first_ms
        ),
        timed=RunStatistics(
            count=runs["Inference (avg)"],
            mean_ms=ms["Inference (avg)"],
            min_ms=ms["Inference (min)"],
            max_ms=ms["Inference (max)"],
            std_ms=ms["Inference (std)"],
            median_ms=ms.get("Inference (median)"),
        ),
    )


def _warmup_and_timed(
    rows: list[RunStatistics], summary: _Summary
) -> tuple[RunStatistics, RunStatistics]:
    """The last two rows, because profiling may print others before them."""
    if len(rows) < 2:
        # LiteRT's log level may hide its rows; its summary has the same statistics in 0.01 ms.
        if summary.warmup is not None and summary.timed is not None and not rows:
            return summary.warmup, summary.timed
        raise MeasurementFailure(
            "truncated", f"it lacks the row of {'timed' if rows else 'warm-up and timed'} runs"
        )
    warmup, timed = rows[-2:]
    _check_mean("warm-up", warmup.mean_ms, summary.warmup_mean_ms, summary.form)
    _check_mean("timed", timed.mean_ms, summary.timed_mean_ms, summary.form)
    for name, row, other in (("warm-up", warmup, summary.warmup), ("timed", timed, summary.timed)):
        if other is not None and row.count != other.count:
            raise MeasurementFailure(
                "contradictory", f"{row.count} {name} runs, and {other.count} in its results"
            )
    if timed.median_ms is None and summary.timed is not None:
        timed = replace(timed, median_ms=summary.timed.median_ms)
    return warmup, timed


def _check_mean(name: str, row_ms: float, summary_ms: float, form: Form) -> None:
    slack = _LITERT_ROUNDING_MS if form == "litert" else 0.0
    if not math.isclose(row_ms, summary_ms, rel_tol=_TOLERANCE, abs_tol=slack):
        raise MeasurementFailure(
            "contradictory",
            f"its {name} runs took {row_ms:g} ms on average, and {summary_ms:g} ms in its summary",
        )


def _without_summary(lines: list[str], rows: int) -> MeasurementFailure:
    errors = [match[1].strip() for line in lines if (match := _FAILED.search(line))]
    if errors:
        # What it printed before it gave up says more than that it did.
        causes = [error for error in errors if not error.startswith("Benchmarking failed")]
        return MeasurementFailure("failed", (causes or errors[-1:])[0])
    found = {0: "it has no figures at all", 1: "it ends after its warm-up"}
    return MeasurementFailure(
        "truncated", f"{found.get(rows, 'it ends before its summary')}: no 'Inference timings' line"
    )


def _footprint_bytes(lines: list[str]) -> int | None:
    for line in reversed(lines):
        for pattern in _FOOTPRINT:
            if match := pattern.search(line):
                # The tools divide KiB by 1024 and call it MB; 0 means unknown.
                return round(figure(match[1]) * _BYTES_PER_MIB) or None
    return None
