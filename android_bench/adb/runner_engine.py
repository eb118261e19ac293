"""agecompact's own runner: the same ARM program, libraries and loader that the emulator runs.

The runner is linked with Debian's C library, which Android lacks. It is started through the loader
beside it, so it needs neither an NDK nor an app:

    ./ld-linux-aarch64.so.1 --inhibit-cache --library-path . ./runner --library ./libLiteRt.so ...
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.circumstances import Runtime
from agecompact.bench.figures import Memory
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from agecompact.contract import Contract
from agecompact.errors import AgecompactError
from agecompact.runtimes.reading import read_metadata
from android_bench.adb import delegates
from android_bench.adb.engine import refused, timed_part_s
from android_bench.adb.options import Options
from android_bench.adb.session import ProgramResult, Session
from android_bench.emulated.bundle import LITERT, LOADER, RUNNER, Bundle
from android_bench.failure import MeasurementFailure, last_lines
from android_bench.native import output, results
from android_bench.native.output import RunnerOutput

_NS_PER_MS = 1e6
_GOLDEN = "golden"
_FIRST_SIGNAL = 128


class RunnerEngine:
    """Runs TFLite files with agecompact's runner.

    Args:
        bundle: The runner with its libraries.
        pack_folder: Folder of the golden pack that the outputs are checked against.
        options: How to measure.

    Raises:
        UsageError: The golden pack cannot be read.
    """

    runtime = "litert"

    def __init__(self, bundle: Bundle, pack_folder: Path, options: Options) -> None:
        self._bundle = bundle
        self._pack_folder = pack_folder
        self._pack = golden.read_if_there(pack_folder)
        self._options = options
        self._contracts: dict[Path, Contract] = {}
        self.version = f"litert {bundle.index.litert}"

    def measure(self, session: Session, file: BuildFile, blank: Record, *, profile: bool) -> Record:
        """Times an artefact and replays the golden pack in the same process; see `Engine`."""
        del profile
        options, pack = self._options, self._pack
        refusal = delegates.runner_refusal(options.delegate)
        if refusal is not None:
            return refused(blank, options.delegate, refusal)
        if pack is None:
            raise MeasurementFailure(
                "golden", "the build has no golden pack, which the runner needs for its inputs"
            )
        for path in sorted(self._bundle.guest.iterdir()):
            session.push(path, path.name, executable=path.name in (LOADER, RUNNER))
        remote_pack = f"{_GOLDEN}/{pack.model}"
        for name in _pack_files(self._pack_folder):
            session.push(self._pack_folder / name, f"{remote_pack}/{name}")
        session.push(file.path, file.path.name)
        contract = self._contract(file.path)
        command = _command(file.path, contract, remote_pack, blank.runtime, options)
        result = session.run(command, timeout_s=options.timeout_s)
        parsed = output.parse(result.stdout, _exit_code(result))
        return _filled(blank, parsed, result, options, pack)

    def _contract(self, file: Path) -> Contract:
        """The contract of a file, which is read once for all rounds."""
        if file not in self._contracts:
            try:
                self._contracts[file] = read_metadata(file).contract
            except AgecompactError as error:
                raise MeasurementFailure("model", error.summary) from None
        return self._contracts[file]


def _pack_files(folder: Path) -> tuple[str, ...]:
    """Files of a golden pack, all of them in its folder."""
    if not (folder / golden.LINES_NAME).is_file():
        raise MeasurementFailure(
            "golden", f"the golden pack has no {golden.LINES_NAME}; fix: agecompact parity freeze"
        )
    return tuple(sorted(golden.files(folder)))


def _command(
    file: Path, contract: Contract, remote_pack: str, runtime: Runtime, options: Options
) -> str:
    if contract.dtype != "float32" and not contract.takes_levels:
        raise MeasurementFailure(
            "mismatch",
            f"the runner has float32 tensors and uint8 pictures, and the file takes "
            f"{contract.dtype} of another meaning",
        )
    words = [f"./{LOADER}", "--inhibit-cache", "--library-path", ".", f"./{RUNNER}"]
    words += ["--library", f"./{LITERT}", "--model", file.name]
    words += ["--golden", remote_pack, "--layout", contract.layout]
    # The runner's warm-up does not include its first inference.
    words += ["--warmup", str(max(0, options.warmup - 1)), "--runs", str(options.runs_per_round)]
    words += ["--threads", str(runtime.threads)]
    if runtime.core_mask is not None:
        words += ["--cores", runtime.core_mask]
    return shlex.join(words)


def _exit_code(result: ProgramResult) -> int:
    # The shell reports a signal as a code above 128.
    if result.exit_code > _FIRST_SIGNAL:
        number = result.exit_code - _FIRST_SIGNAL
        raise MeasurementFailure("crash", f"signal {number}: {last_lines(result.stderr)}")
    return result.exit_code


def _filled(
    blank: Record,
    parsed: RunnerOutput,
    result: ProgramResult,
    options: Options,
    pack: GoldenPack,
) -> Record:
    if len(parsed.samples_ns) != options.runs_per_round:
        runs = f"{len(parsed.samples_ns)} of {options.runs_per_round} runs"
        raise MeasurementFailure("malformed", f"it timed {runs}")
    delegate = results.delegate(parsed, result.stderr)
    rss = parsed.peak_rss_bytes
    init_ms, first_ms = parsed.init_ns / _NS_PER_MS, parsed.first_inference_ns / _NS_PER_MS
    return replace(
        blank,
        failure=None,
        runtime=replace(blank.runtime, delegate=delegate),
        latency=Latency.of(
            tuple(ns / _NS_PER_MS for ns in parsed.samples_ns),
            warmup_runs=max(1, options.warmup),
            # The runner does not time the rest of its warm-up.
            elapsed_s=timed_part_s(result.elapsed_s, init_ms + first_ms),
        ),
        startup=Startup(init_ms=init_ms, first_inference_ms=first_ms),
        memory=Memory(peak_rss_bytes=rss) if rss is not None else None,
        output_error=results.accuracy(parsed, pack, blank.artifact.file),
    )
