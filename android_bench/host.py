"""Latency on the machine at hand: each artefact in a process of its own, timed in turn."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agecompact.contract import Contract
from agecompact.errors import AgecompactError
from agecompact.files import sha256_of, size_of
from agecompact.latency import Machine, Record, paired_ratio, summarise
from agecompact.manifest import Build
from agecompact.runtimes.base import Array
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import read_metadata, runtime_of

# Enough inferences a round to average out the timer, few enough that rounds alternate fast.
_ROUND_MS = 30.0
_WARMUP_RUNS = 10


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        threads: Threads for each runtime.
        rounds: Alternating rounds; every artefact runs once in each.
    """

    threads: int = 1
    rounds: int = 20


@dataclass
class _Contestant:
    """An artefact while it is being timed."""

    record: Record
    process: RuntimeProcess
    runs_per_round: int = 1
    rounds_ms: list[list[float]] = field(default_factory=list)


def measure(
    build: Build, settings: Settings, report: Callable[[str], None] = lambda _: None
) -> tuple[Record, ...]:
    """Measures every artefact of a build, and PyTorch itself on the source weights.

    Args:
        build: The build.
        settings: Threads and rounds.
        report: Told each artefact's name as it is loaded.

    Returns:
        One record a file, the weights file first. One that does not run here has its reason in
        place of its latency.
    """
    records: list[Record] = []
    contestants: list[_Contestant] = []
    with ExitStack() as stack:
        for path in _files(build):
            report(path.name)
            blank = _blank(build, path, settings)
            try:
                contract = read_metadata(path).contract
                process = stack.enter_context(RuntimeProcess(path, threads=settings.threads))
                contestants.append(_load(blank, process, contract))
            except (RuntimeFailure, AgecompactError) as failure:
                records.append(replace(blank, reason=str(failure)))
        contestants = _take_rounds(contestants, records, settings)
        records += [_finish(c, contestants, settings) for c in contestants]
    order = [path.name for path in _files(build)]
    return tuple(sorted(records, key=lambda record: order.index(record.artifact)))


def this_machine() -> Machine:
    """The machine at hand."""
    return Machine(_cpu_name(), os.cpu_count() or 1, platform.platform())


def _files(build: Build) -> list[Path]:
    return [build.weights, *(build.path(entry) for entry in build.manifest.artifacts)]


def _blank(build: Build, path: Path, settings: Settings) -> Record:
    manifest = build.manifest
    references = [
        e.file for e in manifest.artifacts if (e.format, e.precision) == ("tflite", "float32")
    ]
    return Record(
        model=manifest.model,
        artifact=path.name,
        sha256=sha256_of(path),
        source="host",
        machine=this_machine(),
        runtime=runtime_of(path).name,
        threads=settings.threads,
        file_bytes=size_of(path),
        parameters=manifest.parameters,
        macs=manifest.macs,
        reference=references[0] if references else None,
    )


def _load(blank: Record, process: RuntimeProcess, contract: Contract) -> _Contestant:
    opened = process.open()
    first_ms = process.prepare(_face_like(contract))
    warm_ms = float(np.median(process.time(_WARMUP_RUNS)))
    record = replace(
        blank,
        runtime_version=opened.version,
        init_ms=opened.init_ms,
        first_inference_ms=first_ms,
        warmup_runs=_WARMUP_RUNS,
        delegate_partitions=opened.placement.partitions if opened.placement else None,
        fallback_ops=opened.placement.fallback_ops if opened.placement else None,
    )
    return _Contestant(record, process, max(1, round(_ROUND_MS / warm_ms)))


def _face_like(contract: Contract) -> Mapping[str, Array]:
    """One input of the right shape and range.

    Dense kernels take the same time for any content, except for denormal numbers, which pixels of a
    real range keep away.
    """
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8)
    tensors = contract.tensors(dict.fromkeys(contract.input_names, image))
    return {name: tensor[np.newaxis] for name, tensor in tensors.items()}


def _take_rounds(
    contestants: list[_Contestant], records: list[Record], settings: Settings
) -> list[_Contestant]:
    """Times all contestants in turn; one that fails leaves the race with its reason recorded."""
    running = list(contestants)
    for _ in range(settings.rounds):
        for contestant in list(running):
            try:
                contestant.rounds_ms.append(contestant.process.time(contestant.runs_per_round))
            except RuntimeFailure as failure:
                running.remove(contestant)
                records.append(replace(contestant.record, reason=str(failure)))
    return running


def _finish(contestant: _Contestant, all_of_them: list[_Contestant], settings: Settings) -> Record:
    rounds_ms = contestant.rounds_ms
    samples_ms = [sample for taken in rounds_ms for sample in taken]
    memory = contestant.process.memory()
    record = replace(
        contestant.record,
        latency_ms=summarise(samples_ms),
        rounds=settings.rounds,
        timed_runs=len(samples_ms),
        peak_rss_bytes=memory.peak_rss_bytes,
        model_rss_bytes=memory.peak_rss_bytes - memory.rss_before_load_bytes,
    )
    for other in all_of_them:
        if other.record.artifact == record.reference:
            ratio = paired_ratio(rounds_ms, other.rounds_ms)
            return replace(
                record,
                ratio_to_reference=ratio.median,
                ratio_p10=ratio.p10,
                ratio_p90=ratio.p90,
            )
    return record


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
