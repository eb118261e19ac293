"""Measured times. Names carry the unit; unknown is None, never 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agecompact.bench import statistics
from agecompact.checked import (
    AtLeastOne,
    Checked,
    Count,
    Ms,
    NotNegative,
    Positive,
    Seconds,
    Sha256,
    Text,
)
from agecompact.errors import UsageError

# Writers in other languages round the last digits differently.
_RELATIVE_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Latency(Checked):
    """Latency of timed inferences: wall time on the processor that the record names.

    Attributes:
        warmup_runs: Untimed inferences before, the first one included; per process, if each round
            has its own.
        timed_runs: Timed inferences in all rounds.
        rounds: Rounds in which they alternated with other artefacts; None if they did not.
        elapsed_s: Wall time of the timed inferences by a second clock, pauses included. For a
            program timed from outside: its whole run less the startup and warm-up that it
            reports. A record whose samples add up to more is refused: its unit is wrong.
        samples_ms: Every timed inference in order; None if the tool does not report them.
        mean_ms: Mean.
        p50_ms: Median; without samples, the median of the rounds' medians. With samples, every
            statistic here is that of `statistics.summarise`.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        std_ms: Standard deviation, n - 1.
        min_ms: Minimum.
        max_ms: Maximum.
    """

    warmup_runs: Count | None
    timed_runs: AtLeastOne
    mean_ms: Ms
    p50_ms: Ms | None = None
    p90_ms: Ms | None = None
    p99_ms: Ms | None = None
    std_ms: NotNegative | None = None
    min_ms: Ms | None = None
    max_ms: Ms | None = None
    samples_ms: tuple[Ms, ...] | None = None
    rounds: AtLeastOne | None = None
    elapsed_s: Seconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples_ms is not None:
            self._check_samples(self.samples_ms)
        ordered = [self.min_ms, self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms]
        known = [value for value in ordered if value is not None]
        if known != sorted(known):
            self.refuse("its percentiles are out of order", f"{known} ms")
        for bound, sign in ((self.min_ms, 1), (self.max_ms, -1)):
            slack = _RELATIVE_ROUNDING * self.mean_ms
            if bound is not None and sign * (self.mean_ms - bound) < -slack:
                self.refuse(f"the mean {self.mean_ms:g} ms is beyond {bound:g} ms")
        total_s = self.mean_ms * self.timed_runs / 1e3
        if self.elapsed_s is not None and total_s > 1.01 * self.elapsed_s:
            self.refuse(
                f"{self.timed_runs} runs of {self.mean_ms:g} ms do not fit into "
                f"{self.elapsed_s:g} s",
                "their unit is not ms",
            )

    def _check_samples(self, samples_ms: tuple[float, ...]) -> None:
        if len(samples_ms) != self.timed_runs:
            self.refuse(f"{len(samples_ms)} samples for {self.timed_runs} timed runs")
        for name, expected in vars(statistics.summarise(samples_ms)).items():
            actual = getattr(self, f"{name}_ms")
            if (actual is None) != (expected is None) or (
                expected is not None
                and not math.isclose(actual, expected, rel_tol=_RELATIVE_ROUNDING, abs_tol=1e-9)
            ):
                self.refuse(f"{name}_ms is {actual}", f"the samples give {expected}")

    @classmethod
    def of(
        cls,
        samples_ms: tuple[float, ...],
        *,
        warmup_runs: int | None,
        rounds: int | None = None,
        elapsed_s: float | None = None,
    ) -> Latency:
        """The latency of samples.

        Raises:
            UsageError: There are no samples, or one is not a positive time.
        """
        if not samples_ms:
            raise UsageError("no timed inference", why="a latency needs at least one sample")
        statistics_ms = {f"{k}_ms": v for k, v in vars(statistics.summarise(samples_ms)).items()}
        return cls(
            warmup_runs=warmup_runs,
            timed_runs=len(samples_ms),
            samples_ms=samples_ms,
            rounds=rounds,
            elapsed_s=elapsed_s,
            **statistics_ms,
        )


@dataclass(frozen=True, kw_only=True)
class Startup(Checked):
    """Times before the steady state, ms.

    Attributes:
        init_ms: Loading and preparing the file in a process that has already loaded the runtime.
        first_inference_ms: The first inference after that.
        compile_ms: Compiling on the device, as Core ML does.
        load_cold_ms: Loading with nothing cached.
        load_warm_ms: Loading again.
        cold_start_ms: From the start of a new process to its first output, runtime included.
    """

    init_ms: Ms | None = None
    first_inference_ms: Ms | None = None
    compile_ms: Ms | None = None
    load_cold_ms: Ms | None = None
    load_warm_ms: Ms | None = None
    cold_start_ms: Ms | None = None


@dataclass(frozen=True, kw_only=True)
class Ratio(Checked):
    """Latency per face relative to the reference's in the same rounds; below 1 is faster.

    Attributes:
        reference: File name of the reference: the model's float32 TFLite file, one face per
            inference.
        reference_sha256: Its hash.
        reference_threads: Its thread count: the fewest measured, so that the ratio also shows the
            gain from threads and batches.
        median: Median over the rounds.
        low: Lower end of the median's 95 % bootstrap interval; None for a single round.
        high: Upper end.
    """

    reference: Text
    reference_sha256: Sha256
    reference_threads: AtLeastOne
    median: Positive
    low: Positive | None = None
    high: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.low is None) != (self.high is None):
            self.refuse("an interval needs two ends")
        if self.low is not None and self.high is not None and self.low > self.high:
            self.refuse(f"the interval {self.low:g} to {self.high:g} is reversed")
