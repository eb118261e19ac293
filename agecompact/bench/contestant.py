"""An artefact that is timed on this machine, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.accuracy import output_accuracy
from agecompact.bench.circumstances import Delegate, Runtime
from agecompact.bench.figures import OutputAccuracy
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from agecompact.bench.timing import Startup
from agecompact.bench.validity import MIN_TIMED_RUNS
from agecompact.contract import Contract
from agecompact.errors import AgecompactError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Array
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.reading import Reader

# Long enough to average out the timer, short enough that rounds alternate fast.
_ROUND_MS = 30.0
# The warm-up ends after one of these.
_WARMUP_RUNS = 10
_WARMUP_MS = 1000.0
_MS_PER_S = 1e3

# LiteRT's default delegate on a CPU.
_XNNPACK = "xnnpack"


@dataclass(eq=False)
class Contestant:
    """An artefact that is being timed with one thread count and one batch size.

    Attributes:
        file: The artefact.
        record: What is known about it so far.
        process: The process that holds it, loaded and warm.
        contract: Its contract, in its own layout and dtype.
        runs_per_round: Timed inferences in a round.
        warmup_runs: Inferences before the first round.
        elapsed_s: Wall time of its rounds by this process's clock.
        rounds_ms: The samples of each round.
    """

    file: BuildFile
    record: Record
    process: RuntimeProcess
    contract: Contract
    runs_per_round: int
    warmup_runs: int
    elapsed_s: float = 0.0
    rounds_ms: list[list[float]] = field(default_factory=list)

    def run_round(self, number: int) -> Record | None:
        """Times one round.

        Returns:
            None, or its record with the failure if the runtime failed, crashed or took too long.
        """
        del number
        started = time.perf_counter()
        try:
            self.rounds_ms.append(self.process.time(self.runs_per_round))
        except RuntimeFailure as failure:
            return replace(self.record, failure=str(failure))
        self.elapsed_s += time.perf_counter() - started
        return None

    def samples_ms(self) -> tuple[float, ...]:
        """All timed inferences, in order."""
        return tuple(sample for samples_ms in self.rounds_ms for sample in samples_ms)

    def replay(self, pack: GoldenPack) -> OutputAccuracy:
        """Runs the golden pack in the process that was timed; a batch repeats one sample.

        Raises:
            RuntimeFailure: The runtime failed.
            OutputMismatch: An output is missing.
            UsageError: The pack lacks what the file needs.
        """
        batch = self.record.runtime.batch
        inputs = pack.inputs(self.contract)
        samples = {name: np.repeat(array, batch, axis=1) for name, array in inputs.items()}
        return output_accuracy(self.process.infer(samples), pack, self.record.artifact.file)


def load_contestant(
    stack: ExitStack, reader: Reader, file: BuildFile, blank: Record, rounds: int
) -> Contestant | Record:
    """Loads a file in a process of its own and warms it up.

    Args:
        stack: Ends the process when it closes.
        reader: Reads the contract, apart from the process that is measured.
        file: The artefact.
        blank: Its record, with the threads and the batch size to measure.
        rounds: Rounds to come; in all of them together enough inferences are timed.

    Returns:
        The contestant, or its record with the failure. If the file loads but has another batch
        size, that record names the runtime's version.
    """
    threads, batch = blank.runtime.threads or 1, blank.runtime.batch
    try:
        contract = reader.metadata(file.path).contract
        inputs = face_like(contract, batch)
        started = time.perf_counter()
        runtime = RUNTIMES[blank.runtime.name]
        process = stack.enter_context(RuntimeProcess(file.path, runtime, threads=threads))
        opened = process.open()
        if opened.interface.fixed_batch not in (None, batch):
            refusing = _with_placement(blank.runtime, opened)
            reason = _batch_refusal(file, opened.interface.fixed_batch, batch)
            return replace(blank, runtime=refusing, failure=reason)
        first_ms = process.prepare({name: tensor[np.newaxis] for name, tensor in inputs.items()})
        cold_start_ms = (time.perf_counter() - started) * _MS_PER_S
        warmup_ms = _warm_up(process)
    except (RuntimeFailure, AgecompactError) as failure:
        return replace(blank, failure=str(failure))
    record = replace(
        blank,
        runtime=_with_placement(blank.runtime, opened),
        startup=Startup(
            init_ms=opened.init_ms, first_inference_ms=first_ms, cold_start_ms=cold_start_ms
        ),
    )
    runs = max(round(_ROUND_MS / float(np.median(warmup_ms))), -(-MIN_TIMED_RUNS // rounds))
    # The first inference is a warm-up run too.
    return Contestant(file, record, process, contract, runs, 1 + len(warmup_ms))


def _batch_refusal(file: BuildFile, fixed_batch: int | None, batch: int) -> str:
    """Why a batch size cannot be measured. Only ONNX files can be exported to take any."""
    fix = f"; fix: agecompact export {file.manifest.model} --dynamic-batch"
    why = f"its batch is fixed: it takes {fixed_batch} an inference, not {batch}"
    return why + (fix if file.format == "onnx" else "")


def _warm_up(process: RuntimeProcess) -> list[float]:
    samples_ms = process.time(1)
    while len(samples_ms) < _WARMUP_RUNS and sum(samples_ms) < _WARMUP_MS:
        samples_ms += process.time(1)
    return samples_ms


def face_like(contract: Contract, batch: int) -> Mapping[str, Array]:
    """A batch of random pixels in the shape and range of faces, by input name.

    Dense kernels take the same time for any content except denormal numbers, which pixels in a
    normal range do not produce.
    """
    shape = (batch, contract.height, contract.width, 3)
    images = list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    tensor = np.ascontiguousarray(contract.stack(images))
    return dict.fromkeys(contract.input_names, tensor)


def _with_placement(runtime: Runtime, opened: Opened) -> Runtime:
    """The runtime with its version, and its delegate where it reports one."""
    placement = opened.placement
    runtime = replace(runtime, version=opened.version, library_bytes=opened.library_bytes)
    if placement is None or RUNTIMES[runtime.name].accelerator:
        return runtime
    delegate = Delegate(
        asked=_XNNPACK,
        got=_XNNPACK if placement.partitions else "none",
        partitions=placement.partitions,
        fallback_ops=dict(placement.fallback_ops),
    )
    return replace(runtime, delegate=delegate)
