"""The record of a measurement, and its statistics. Units stand in the names; unknown is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SCHEMA_VERSION = 1

Source = Literal["host"]


@dataclass(frozen=True)
class LatencyMs:
    """Latency of one inference in ms.

    Attributes:
        p50: Median.
        p90: 90th percentile.
        mean: Mean.
        min: Least.
        max: Greatest.
        samples: Every timed inference, in the order taken.
    """

    p50: float
    p90: float
    mean: float
    min: float
    max: float
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Machine:
    """Where a measurement was taken; latencies of different machines do not compare.

    Attributes:
        cpu: Name of the processor.
        cores: Logical processors.
        os: Operating system and version.
    """

    cpu: str
    cores: int
    os: str


@dataclass(frozen=True)
class Record:
    """What one artefact costs on one machine.

    Attributes:
        model: Registered id.
        artifact: File name.
        sha256: Hash of the file.
        source: What kind of measurement this is.
        machine: Where it was taken.
        runtime: What ran it, or would have.
        runtime_version: The runtime and its version.
        threads: Threads given to the runtime.
        latency_ms: Of a timed inference; None where it did not run here.
        ratio_to_reference: Median over rounds of this artefact's latency over the reference's in
            the same round; below 1 is faster.
        ratio_p10: 10th percentile of that ratio over the rounds.
        ratio_p90: 90th percentile.
        reference: File name of the reference, the model's float32 TFLite file.
        rounds: Alternating rounds taken.
        warmup_runs: Untimed inferences before the first round.
        timed_runs: Timed inferences.
        init_ms: Time to load the file and make it ready.
        first_inference_ms: The first inference after that.
        peak_rss_bytes: Most memory the process held, libraries included.
        model_rss_bytes: Most memory it held beyond what it held before loading the model.
        file_bytes: Size of the artefact.
        parameters: Trainable parameters of the model.
        macs: Multiply-accumulates for one face.
        delegate_partitions: Pieces of the graph that XNNPACK took; None for other runtimes.
        fallback_ops: Ops left to LiteRT's own kernels, by name; None for other runtimes.
        reason: Why nothing was measured; empty otherwise.
    """

    model: str
    artifact: str
    sha256: str
    source: Source
    machine: Machine
    runtime: str
    threads: int
    file_bytes: int
    parameters: int
    macs: int
    reference: str | None = None
    runtime_version: str | None = None
    latency_ms: LatencyMs | None = None
    ratio_to_reference: float | None = None
    ratio_p10: float | None = None
    ratio_p90: float | None = None
    rounds: int = 0
    warmup_runs: int = 0
    timed_runs: int = 0
    init_ms: float | None = None
    first_inference_ms: float | None = None
    peak_rss_bytes: int | None = None
    model_rss_bytes: int | None = None
    delegate_partitions: int | None = None
    fallback_ops: Mapping[str, int] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ratio:
    """One latency over another, paired by round.

    Attributes:
        median: Over the rounds.
        p10: 10th percentile.
        p90: 90th percentile.
    """

    median: float
    p10: float
    p90: float


def summarise(samples_ms: Sequence[float]) -> LatencyMs:
    """Statistics of timed inferences, of which there is at least one."""
    values = np.asarray(samples_ms, np.float64)
    return LatencyMs(
        p50=float(np.percentile(values, 50)),
        p90=float(np.percentile(values, 90)),
        mean=float(values.mean()),
        min=float(values.min()),
        max=float(values.max()),
        samples=tuple(float(v) for v in samples_ms),
    )


def paired_ratio(
    rounds_ms: Sequence[Sequence[float]], reference_ms: Sequence[Sequence[float]]
) -> Ratio:
    """The latency ratio of two artefacts that were timed in turn, round by round.

    A machine that slows down slows both halves of a round, so the ratio of a round's medians stands
    where absolute times drift.
    """
    ratios = [
        float(np.median(mine) / np.median(theirs))
        for mine, theirs in zip(rounds_ms, reference_ms, strict=True)
    ]
    p10, median, p90 = (float(v) for v in np.percentile(ratios, (10, 50, 90)))
    return Ratio(median, p10, p90)
