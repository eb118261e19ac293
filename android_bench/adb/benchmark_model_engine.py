"""The user's own `benchmark_model`, TFLite's or LiteRT's, as built for Android.

No package registry carries it; LiteRT's documentation links its official builds under "Performance
measurement" (ai.google.dev/edge/litert/models/measurement). It runs on noise and discards its
outputs, so its records have no output error.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agecompact.bench.circumstances import Delegate
from agecompact.bench.figures import Memory
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from android_bench.adb.client import CommandResult
from android_bench.adb.delegates import DELEGATES
from android_bench.adb.engine import refused, timed_part_s
from android_bench.adb.options import Options
from android_bench.adb.session import ProgramResult, Session
from android_bench.benchmark_model import delegation, flags, output, profile
from android_bench.benchmark_model.delegation import Outcome
from android_bench.benchmark_model.output import BenchmarkOutput
from android_bench.failure import MeasurementFailure

_PROGRAM = "benchmark_model"
_PROFILE = "profile.csv"
# Few: profiling slows every op, and only the shares matter.
_PROFILED_RUNS = 20
_HELP_TIMEOUT_S = 60.0


class BenchmarkModelEngine:
    """Runs TFLite files with a `benchmark_model`.

    Args:
        program: The tool, built for Android.
        options: How to measure.

    Raises:
        UsageError: There is no such file.
    """

    runtime = _PROGRAM

    def __init__(self, program: Path, options: Options) -> None:
        if not program.is_file():
            raise UsageError(
                f"no benchmark_model at {program}",
                why="it is Google's program, and no package carries it",
                fix="download LiteRT's benchmark_model for android_arm64, --benchmark-model PATH",
            )
        self._program = program
        self._options = options
        # Read from the tool once, when it first runs.
        self._known_flags: frozenset[str] | None = None
        # The tool does not print its version.
        self.version = f"{_PROGRAM} of sha256 {sha256_of(program)[:12]}"

    def measure(self, session: Session, file: BuildFile, blank: Record, *, profile: bool) -> Record:
        """Times an artefact, and profiles it in a second run if requested; see `Engine`."""
        session.push(self._program, _PROGRAM, executable=True)
        session.push(file.path, file.path.name)
        if self._known_flags is None:
            shown = session.run(f"./{_PROGRAM} --help", timeout_s=_HELP_TIMEOUT_S)
            self._known_flags = flags.known_flags(_text(shown))
        return self._measured(session, file.path.name, blank, self._known_flags, profile)

    def _measured(
        self, session: Session, graph: str, blank: Record, known: frozenset[str], profile: bool
    ) -> Record:
        family = flags.family_of(known)
        delegate = DELEGATES[self._options.delegate]
        delegate_flags = delegate.flags.get(family)
        if delegate_flags is None:
            return refused(blank, delegate.name, f"LiteRT's tool has no flag for {delegate.name}")
        words = flags.command_line(
            f"./{_PROGRAM}",
            graph,
            delegate_flags,
            threads=blank.runtime.threads or 1,
            runs=self._options.runs_per_round,
            warmup=max(1, self._options.warmup),
        )
        result = self._run(session, words, blank)
        log = delegation.find(_text(result).splitlines())
        outcome = delegation.outcome_of(delegate.name, delegate.flag_names(family), log)
        try:
            parsed = output.parse(_text(result))
        except MeasurementFailure as failure:
            if outcome.refusal is not None and failure.kind == "failed":
                return refused(blank, delegate.name, outcome.refusal)
            reason = _with_exit_code(failure.reason, result)
            raise MeasurementFailure(failure.kind, reason) from None
        if result.exit_code != 0:
            reason = _with_exit_code("it printed figures and then failed", result)
            raise MeasurementFailure("failed", reason)
        record = _filled(blank, parsed, delegate.name, outcome, result)
        return self._profiled(session, record, words, known) if profile else record

    def _profiled(
        self, session: Session, record: Record, words: Sequence[str], known: frozenset[str]
    ) -> Record:
        def without_profile(reason: str) -> Record:
            return replace(record, unknown={**(record.unknown or {}), "profile": reason})

        profiling = flags.profiling(known, _PROFILE)
        if profiling is None:
            return without_profile("this benchmark_model writes no profile into a file")
        few = [f"--num_runs={_PROFILED_RUNS}" if w.startswith("--num_runs=") else w for w in words]
        session.remove(_PROFILE)
        result = self._run(session, (*few, *profiling), record)
        if result.exit_code != 0:
            return without_profile(_with_exit_code("the profiled run failed", result))
        delegate = record.runtime.delegate
        unit = delegate.got if delegate is not None and delegate.got in ("gpu", "nnapi") else "cpu"
        try:
            return replace(record, profile=profile.parse(session.read(_PROFILE), unit))
        except MeasurementFailure as failure:
            return without_profile(str(failure))

    def _run(self, session: Session, words: Sequence[str], record: Record) -> ProgramResult:
        mask = record.runtime.core_mask
        pinned = ("taskset", mask, *words) if mask is not None else words
        return session.run(shlex.join(pinned), timeout_s=self._options.timeout_s)


def _text(result: CommandResult) -> str:
    # TFLite's rows go to standard output and LiteRT's results to standard error.
    return result.stdout + result.stderr


def _with_exit_code(text: str, result: CommandResult) -> str:
    return text if result.exit_code == 0 else f"{text} (exit code {result.exit_code})"


def _filled(
    blank: Record,
    parsed: BenchmarkOutput,
    requested: str,
    outcome: Outcome,
    result: ProgramResult,
) -> Record:
    timed = parsed.timed
    unknown = {"output_error": "benchmark_model runs on noise and discards its outputs"}
    if outcome.refusal is not None:
        unknown["delegate"] = f"refused: {outcome.refusal}"
    delegate = Delegate(asked=requested, got=outcome.got, partitions=outcome.partitions)
    footprint = parsed.footprint_bytes
    untimed_ms = parsed.init_ms + parsed.warmup.count * parsed.warmup.mean_ms
    return replace(
        blank,
        failure=None,
        runtime=replace(blank.runtime, delegate=delegate),
        latency=Latency(
            warmup_runs=parsed.warmup.count,
            timed_runs=timed.count,
            mean_ms=timed.mean_ms,
            p50_ms=timed.median_ms,
            std_ms=timed.std_ms,
            min_ms=timed.min_ms,
            max_ms=timed.max_ms,
            elapsed_s=timed_part_s(result.elapsed_s, untimed_ms),
        ),
        startup=Startup(init_ms=parsed.init_ms, first_inference_ms=parsed.first_inference_ms),
        memory=Memory(model_rss_bytes=footprint) if footprint is not None else None,
        unknown={**(blank.unknown or {}), **unknown},
    )
