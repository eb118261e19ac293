"""Artefacts that are timed in turn, round by round, each in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from agecompact.bench.circumstances import Delegate, Runtime
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from agecompact.bench.timing import Startup
from agecompact.bench.validity import MIN_TIMED_RUNS
from agecompact.contract import Contract
from agecompact.errors import AgecompactError
from agecompact.runtimes.base import Array
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import read_metadata

# Enough inferences a round to average out the timer, few enough that rounds alternate fast.
_ROUND_MS = 30.0
# Until so many inferences or so long, whichever comes first.
_WARMUP_RUNS = 10
_WARMUP_MS = 1000.0
_MS_PER_S = 1e3

# LiteRT's default delegate on a CPU.
_XNNPACK = "xnnpack"


@dataclass
class Contestant:
    """An artefact with so many threads and faces an inference, while it is being timed.

    Attributes:
        file: The artefact.
        record: What is known of it so far.
        process: Holds it, open and warm.
        contract: What the artefact says of itself.
        runs_per_round: Timed inferences in a round.
        warmup_runs: Inferences made before the first round.
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

    def take_round(self) -> None:
        """Times one round.

        Raises:
            RuntimeFailure: The runtime failed, died or took too long.
        """
        started = time.perf_counter()
        self.rounds_ms.append(self.process.time(self.runs_per_round))
        self.elapsed_s += time.perf_counter() - started

    def samples_ms(self) -> tuple[float, ...]:
        """Every timed inference, in the order taken."""
        return tuple(sample for taken in self.rounds_ms for sample in taken)


def enter(stack: ExitStack, file: BuildFile, blank: Record, rounds: int) -> Contestant | Record:
    """Loads a file in a process of its own and warms it up.

    Args:
        stack: Ends the process when it closes.
        file: The artefact.
        blank: Its record, with the threads and the batch that are wanted.
        rounds: Rounds to come, by which enough inferences are to be timed.

    Returns:
        The contestant; or its record with the failure, in which the runtime has a version if it
        loaded the file and the file takes no such batch.
    """
    threads, batch = blank.runtime.threads or 1, blank.runtime.batch
    try:
        contract = read_metadata(file.path).contract
        sample = face_like(contract, batch)
        started = time.perf_counter()
        process = stack.enter_context(RuntimeProcess(file.path, threads=threads))
        opened = process.open()
        if opened.fixed_batch not in (None, batch):
            told = _told(blank.runtime, opened)
            return replace(blank, runtime=told, failure=_refusal(file, opened.fixed_batch, batch))
        first_ms = process.prepare({name: tensor[np.newaxis] for name, tensor in sample.items()})
        cold_start_ms = (time.perf_counter() - started) * _MS_PER_S
        warm_ms = _warm(process)
    except (RuntimeFailure, AgecompactError) as failure:
        return replace(blank, failure=str(failure))
    record = replace(
        blank,
        runtime=_told(blank.runtime, opened),
        startup=Startup(
            init_ms=opened.init_ms, first_inference_ms=first_ms, cold_start_ms=cold_start_ms
        ),
    )
    wanted = max(round(_ROUND_MS / float(np.median(warm_ms))), -(-MIN_TIMED_RUNS // rounds))
    # The first inference warms as well.
    return Contestant(file, record, process, contract, wanted, 1 + len(warm_ms))


def _refusal(file: BuildFile, fixed_batch: int | None, batch: int) -> str:
    """Why a batch cannot be measured; only ONNX files can be made to take any."""
    model = file.manifest.model
    fix = f"; fix: agecompact export {model} --dynamic-batch"
    why = f"its batch is fixed: it takes {fixed_batch} an inference, not {batch}"
    return why + (fix if file.format == "onnx" else "")


def _warm(process: RuntimeProcess) -> list[float]:
    taken_ms = process.time(1)
    while len(taken_ms) < _WARMUP_RUNS and sum(taken_ms) < _WARMUP_MS:
        taken_ms += process.time(1)
    return taken_ms


def race(contestants: Sequence[Contestant], rounds: int) -> tuple[list[Contestant], list[Record]]:
    """Times all contestants in turn.

    Returns:
        Those that ran to the end, and the records of those that failed on the way.
    """
    running, failed = list(contestants), []
    for _ in range(rounds):
        for contestant in list(running):
            try:
                contestant.take_round()
            except RuntimeFailure as failure:
                running.remove(contestant)
                failed.append(replace(contestant.record, failure=str(failure)))
    return running, failed


def face_like(contract: Contract, batch: int) -> Mapping[str, Array]:
    """One batch of the right shape and range, by input name.

    Dense kernels take the same time for any content, except for denormal numbers, which pixels of a
    real range keep away.
    """
    shape = (batch, contract.height, contract.width, 3)
    images = list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    tensor = np.ascontiguousarray(contract.stack(images))
    return dict.fromkeys(contract.input_names, tensor)


def _told(runtime: Runtime, opened: Opened) -> Runtime:
    placement = opened.placement
    if placement is None:
        return replace(runtime, version=opened.version)
    delegate = Delegate(
        asked=_XNNPACK,
        got=_XNNPACK if placement.partitions else "none",
        partitions=placement.partitions,
        fallback_ops=dict(placement.fallback_ops),
    )
    return replace(runtime, version=opened.version, delegate=delegate)
