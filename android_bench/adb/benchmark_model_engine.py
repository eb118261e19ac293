"""The user's own `benchmark_model`, TFLite's or LiteRT's, as built for Android.

No package registry carries it; its official builds are named in LiteRT's documentation under
"Performance measurement" (ai.google.dev/edge/litert/models/measurement). It feeds noise and keeps
its outputs, so a record of it tells no output error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agecompact.bench.circumstances import Delegate, Runtime
from agecompact.bench.figures import Memory, OpTime
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from android_bench.adb import delegates
from android_bench.adb.client import quoted
from android_bench.adb.engine import EngineFailure, Plan, Subject, refused, timed_part_s
from android_bench.adb.session import Ended, Session
from android_bench.benchmark_model import delegation, flags, output, profile
from android_bench.benchmark_model.delegation import Outcome
from android_bench.benchmark_model.failure import UnreadableOutputError
from android_bench.benchmark_model.flags import Counts
from android_bench.benchmark_model.output import BenchmarkOutput

_PROGRAM = "benchmark_model"
_PROFILE = "profile.csv"
# Fewer: a profiler slows every op, and only shares are wanted.
_PROFILED_RUNS = 20
_HELP_TIMEOUT_S = 60.0


class BenchmarkModelEngine:
    """Runs TFLite files with a `benchmark_model`.

    Args:
        program: The tool, built for Android.

    Raises:
        UsageError: There is no such file.
    """

    runtime = _PROGRAM

    def __init__(self, program: Path) -> None:
        if not program.is_file():
            raise UsageError(
                f"no benchmark_model at {program}",
                why="it is Google's, and no package carries it",
                fix="download LiteRT's benchmark_model for android_arm64, --benchmark-model PATH",
            )
        self._program = program
        # Asked for once: it is one program, whatever the device.
        self._flags: frozenset[str] | None = None
        # The tool does not tell its version.
        self.version = f"{_PROGRAM} of sha256 {sha256_of(program)[:12]}"

    def measure(self, session: Session, subject: Subject, plan: Plan, blank: Record) -> Record:
        """Times an artefact, and profiles it in a second run if that is asked for.

        A delegate that is refused leaves its refusal in the record, with the figures of what ran in
        its place, or as its failure where nothing did.

        Raises:
            EngineFailure: The tool failed, or its output cannot be read.
            AdbFailure: The device failed.
        """
        session.push(self._program, _PROGRAM, executable=True)
        file = subject.file.path
        session.push(file, file.name)
        if self._flags is None:
            self._flags = _known_flags(session)
        return _measured(session, file.name, plan, blank, self._flags)


def _measured(
    session: Session, graph: str, plan: Plan, blank: Record, known: frozenset[str]
) -> Record:
    family = flags.family_of(known)
    delegate = delegates.named(plan.delegate)
    wanted = delegate.flags.get(family)
    if wanted is None:
        return refused(blank, plan.delegate, f"LiteRT's tool has no way to ask for {plan.delegate}")
    counts = Counts(plan.threads, plan.runs, max(1, plan.warmup))
    words = flags.command_line(f"./{_PROGRAM}", graph, counts, wanted)
    ended = session.run(_pinned(words, plan), timeout_s=plan.timeout_s)
    told = delegation.find(_text(ended).splitlines())
    outcome = delegation.settle(plan.delegate, delegate.names_of_flags(family), told)
    try:
        parsed = output.parse(_text(ended))
    except UnreadableOutputError as error:
        if outcome.refusal is not None and error.kind == "failed":
            return refused(blank, plan.delegate, outcome.refusal)
        raise EngineFailure(_with_exit_code(str(error), ended)) from None
    if ended.exit_code != 0:
        raise EngineFailure(_with_exit_code("it printed figures and then failed", ended))
    record = _filled(blank, parsed, outcome, plan, ended)
    return _profiled(session, record, words, known, plan) if plan.profile else record


def _known_flags(session: Session) -> frozenset[str]:
    ended = session.run(f"./{_PROGRAM} --help", timeout_s=_HELP_TIMEOUT_S)
    return flags.known_flags(_text(ended))


def _text(ended: Ended) -> str:
    # TFLite's rows go to standard output and LiteRT's results to standard error.
    return ended.stdout + ended.stderr


def _pinned(words: Sequence[str], plan: Plan) -> str:
    prefix = ("taskset", plan.core_mask) if plan.core_mask is not None else ()
    return quoted((*prefix, *words))


def _with_exit_code(text: str, ended: Ended) -> str:
    return text if ended.exit_code == 0 else f"{text} (exit code {ended.exit_code})"


def _with_delegate(runtime: Runtime, plan: Plan, outcome: Outcome) -> Runtime:
    delegate = Delegate(asked=plan.delegate, got=outcome.got, partitions=outcome.partitions)
    return replace(runtime, delegate=delegate)


def _filled(
    blank: Record, parsed: BenchmarkOutput, outcome: Outcome, plan: Plan, ended: Ended
) -> Record:
    timed = parsed.timed
    unknown = {"output_error": "benchmark_model feeds noise and keeps its outputs"}
    if outcome.refusal is not None:
        unknown["delegate"] = f"refused: {outcome.refusal}"
    footprint = parsed.footprint_bytes
    untimed_ms = parsed.init_ms + parsed.warmup.count * parsed.warmup.mean_ms
    return replace(
        blank,
        failure=None,
        runtime=_with_delegate(blank.runtime, plan, outcome),
        latency=Latency(
            warmup_runs=parsed.warmup.count,
            timed_runs=timed.count,
            mean_ms=timed.mean_ms,
            p50_ms=timed.median_ms,
            std_ms=timed.std_ms,
            min_ms=timed.min_ms,
            max_ms=timed.max_ms,
            elapsed_s=timed_part_s(ended.elapsed_s, untimed_ms),
        ),
        startup=Startup(init_ms=parsed.init_ms, first_inference_ms=parsed.first_inference_ms),
        memory=Memory(model_rss_bytes=footprint) if footprint is not None else None,
        unknown={**(blank.unknown or {}), **unknown},
    )


def _profiled(
    session: Session, record: Record, words: Sequence[str], known: frozenset[str], plan: Plan
) -> Record:
    asked = flags.profiling(known, _PROFILE)
    if asked is None:
        return _without_profile(record, "this benchmark_model writes no profile into a file")
    runs = [f"--num_runs={_PROFILED_RUNS}" if w.startswith("--num_runs=") else w for w in words]
    session.forget(_PROFILE)
    ended = session.run(_pinned((*runs, *asked), plan), timeout_s=plan.timeout_s)
    if ended.exit_code != 0:
        return _without_profile(record, _with_exit_code("the profiled run failed", ended))
    try:
        ops: tuple[OpTime, ...] = profile.parse(session.read(_PROFILE), _unit(record))
    except UnreadableOutputError as error:
        return _without_profile(record, str(error))
    return replace(record, profile=ops)


def _unit(record: Record) -> str:
    delegate = record.runtime.delegate
    got = delegate.got if delegate is not None else None
    return got if got in ("gpu", "nnapi") else "cpu"


def _without_profile(record: Record, why: str) -> Record:
    return replace(record, unknown={**(record.unknown or {}), "profile": why})
