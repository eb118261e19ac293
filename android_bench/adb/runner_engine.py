"""agecompact's own runner: the very ARM program, libraries and loader that qemu runs elsewhere.

The runner is linked with Debian's C library, which Android has not. It is started through the
loader that lies beside it, so that neither an NDK nor an app is needed:

    ./ld-linux-aarch64.so.1 --inhibit-cache --library-path . ./runner --library ./libLiteRt.so ...
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.circumstances import Delegate
from agecompact.bench.figures import Memory, OutputAccuracy
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from agecompact.errors import AgecompactError
from agecompact.runtimes.registry import read_metadata
from android_bench.adb import delegates
from android_bench.adb.client import quoted
from android_bench.adb.engine import EngineFailure, Plan, Subject, refused, timed_part_s
from android_bench.adb.session import Ended, Session
from android_bench.emulated.stored import LITERT, LOADER, RUNNER, Bundle
from android_bench.native.failure import RunnerFailure, last_lines
from android_bench.native.output import RunnerOutput, parse

_NS_PER_MS = 1e6
_GOLDEN = "golden"
_XNNPACK_MADE = "Created TensorFlow Lite XNNPACK delegate for CPU"
_FIRST_SIGNAL = 128


class RunnerEngine:
    """Runs TFLite files with agecompact's runner.

    Args:
        bundle: The runner with its libraries.
    """

    runtime = "litert"

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.version = f"litert {bundle.index.litert}"

    def measure(self, session: Session, subject: Subject, plan: Plan, blank: Record) -> Record:
        """Times an artefact and replays the golden pack in the same process.

        A delegate that the runner cannot have leaves its refusal in the record.

        Raises:
            EngineFailure: The runner failed, crashed, or its answer was cut off.
            AdbFailure: The device failed.
        """
        refusal = delegates.refusal_by_runner(plan.delegate)
        if refusal is not None:
            return refused(blank, plan.delegate, refusal)
        if subject.pack is None:
            raise EngineFailure("the runner feeds a golden pack, and the build has none")
        for path in sorted(self._bundle.guest.iterdir()):
            session.push(path, path.name, executable=path.name in (LOADER, RUNNER))
        for name in pack_files(subject.folder):
            session.push(subject.folder / name, f"{_GOLDEN}/{subject.pack.model}/{name}")
        file = subject.file.path
        session.push(file, file.name)
        try:
            ended = session.run(_command(subject, plan), timeout_s=plan.timeout_s)
            output = parse(ended.stdout, _exit_code(ended))
        except RunnerFailure as failure:
            raise EngineFailure(str(failure)) from None
        return _filled(blank, output, ended, plan, subject)


def pack_files(folder: Path) -> tuple[str, ...]:
    """Files of a golden pack that the runner reads, by the lines of its `golden.txt`.

    Raises:
        EngineFailure: The pack has none.
    """
    index = folder / "golden.txt"
    if not index.is_file():
        raise EngineFailure(f"no {index.name} in the golden pack; fix: agecompact parity")
    words = [line.split(" ") for line in index.read_text(encoding="utf-8").splitlines()]
    return (index.name, *(w[-1] for w in words if w[0] in ("input", "table", "output")))


def _command(subject: Subject, plan: Plan) -> str:
    assert subject.pack is not None
    try:
        contract = read_metadata(subject.file.path).contract
    except AgecompactError as error:
        raise EngineFailure(f"{error.what}: {error.why}") from None
    if contract.dtype != "float32":
        raise EngineFailure(f"the runner feeds float32, and the file takes {contract.dtype}")
    words = [f"./{LOADER}", "--inhibit-cache", "--library-path", ".", f"./{RUNNER}"]
    words += ["--library", f"./{LITERT}", "--model", subject.file.path.name]
    words += ["--golden", f"{_GOLDEN}/{subject.pack.model}", "--layout", contract.layout]
    # The runner counts its first inference apart from its warm-up.
    words += ["--warmup", str(max(0, plan.warmup - 1)), "--runs", str(plan.runs)]
    words += ["--threads", str(plan.threads)]
    if plan.core_mask is not None:
        words += ["--cores", plan.core_mask]
    return quoted(words)


def _exit_code(ended: Ended) -> int:
    """The runner's exit code.

    Raises:
        RunnerFailure: A signal ended it, which the shell tells as a code beyond 128.
    """
    if ended.exit_code > _FIRST_SIGNAL:
        number, said = ended.exit_code - _FIRST_SIGNAL, last_lines(ended.stderr)
        raise RunnerFailure("crash", f"signal {number}: {said}")
    return ended.exit_code


def _filled(
    blank: Record, output: RunnerOutput, ended: Ended, plan: Plan, subject: Subject
) -> Record:
    assert subject.pack is not None
    if len(output.samples_ns) != plan.runs:
        raise EngineFailure(f"{len(output.samples_ns)} runs, and {plan.runs} were asked for")
    delegate = Delegate(
        asked=plan.delegate,
        got=delegates.XNNPACK if _XNNPACK_MADE in ended.stderr else None,
        fallback_ops={} if output.fully_accelerated else None,
    )
    rss = output.peak_rss_bytes
    init_ms, first_ms = output.init_ns / _NS_PER_MS, output.first_inference_ns / _NS_PER_MS
    return replace(
        blank,
        failure=None,
        runtime=replace(blank.runtime, delegate=delegate),
        latency=Latency.of(
            tuple(ns / _NS_PER_MS for ns in output.samples_ns),
            warmup_runs=max(1, plan.warmup),
            # It does not time the rest of its warm-up.
            elapsed_s=timed_part_s(ended.elapsed_s, init_ms + first_ms),
        ),
        startup=Startup(init_ms=init_ms, first_inference_ms=first_ms),
        memory=Memory(peak_rss_bytes=rss) if rss is not None else None,
        output_error=output_error(output, subject.pack, blank.artifact.file),
    )


def output_error(output: RunnerOutput, pack: GoldenPack, file: str) -> OutputAccuracy:
    """Error of the runner's answers against PyTorch's.

    Args:
        output: With an answer to every sample of the pack.
        pack: The golden pack.
        file: Name of the artefact, by which the pack knows its tolerance.

    Raises:
        EngineFailure: It answered something else.
    """
    if output.outputs.keys() != pack.outputs.keys():
        told, wanted = sorted(output.outputs), sorted(pack.outputs)
        raise EngineFailure(f"it answered {', '.join(told)}, not {', '.join(wanted)}")
    rows = []
    for name, expected in pack.outputs.items():
        answers = np.asarray(output.outputs[name], np.float64)
        if len(answers) != len(expected):
            raise EngineFailure(f"{len(answers)} answers '{name}' to {len(expected)} samples")
        rows.append(np.abs(answers - expected.astype(np.float64)))
    errors = np.stack(rows)
    finite = np.isfinite(errors).all(axis=0)
    known = bool(finite.all())
    return OutputAccuracy(
        unit=pack.unit,
        samples=len(pack.samples),
        not_finite=int(np.sum(~finite)),
        weights_sha256=pack.weights_sha256,
        max_error=float(errors.max()) if known else None,
        mean_error=float(errors.mean()) if known else None,
        tolerance=pack.tolerances.get(file),
    )
