"""Times that were taken. Units stand in the names; unknown is None, never 0."""

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

# Writers in other languages round differently in the last digits.
_RELATIVE_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Latency(Checked):
    """Latency of timed inferences: wall time on the processor that the record names.

    Attributes:
        warmup_runs: Untimed inferences that were really made before, the first one included; in
            each process, where every round has one of its own.
        timed_runs: Timed inferences that were really made, in all rounds.
        rounds: Rounds in which they alternated with other artefacts'; None if they did not.
        elapsed_s: Wall time by another clock than theirs that the timed inferences had, pauses
            included. Of a program that is timed from without, it is that of its whole run less
            what the program itself tells of its start and warm-up. Samples that add up to more are
            refused: they are in another unit than they say.
        samples_ms: Every timed inference, in the order taken; None where a tool keeps them.
        mean_ms: Mean.
        p50_ms: Median; without samples, the median of the medians that the rounds told. With
            samples, every statistic here is `statistics.summarise`'s.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        std_ms: Standard deviation, n - 1.
        min_ms: Least.
        max_ms: Greatest.
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
                self.refuse(f"a mean of {self.mean_ms:g} ms lies beyond {bound:g} ms")
        told_s = self.mean_ms * self.timed_runs / 1e3
        if self.elapsed_s is not None and told_s > 1.01 * self.elapsed_s:
            self.refuse(
                f"{self.timed_runs} runs of {self.mean_ms:g} ms do not fit into "
                f"{self.elapsed_s:g} s",
                "their unit is not ms",
            )

    def _check_samples(self, samples_ms: tuple[float, ...]) -> None:
        if len(samples_ms) != self.timed_runs:
            self.refuse(f"{len(samples_ms)} samples for {self.timed_runs} timed runs")
        for name, value in vars(statistics.summarise(samples_ms)).items():
            told = getattr(self, f"{name}_ms")
            if (told is None) != (value is None) or (
                value is not None
                and not math.isclose(told, value, rel_tol=_RELATIVE_ROUNDING, abs_tol=1e-9)
            ):
                self.refuse(f"{name}_ms is {told}", f"its samples say {value}")

    @classmethod
    def of(
        cls,
        samples_ms: tuple[float, ...],
        *,
        warmup_runs: int | None,
        rounds: int | None = None,
        elapsed_s: float | None = None,
    ) -> Latency:
        """The latency that samples tell.

        Raises:
            UsageError: There are no samples, or one of them is no time.
        """
        if not samples_ms:
            raise UsageError("no timed inference", why="a latency has at least one sample")
        told = {f"{k}_ms": v for k, v in vars(statistics.summarise(samples_ms)).items()}
        return cls(
            warmup_runs=warmup_runs,
            timed_runs=len(samples_ms),
            samples_ms=samples_ms,
            rounds=rounds,
            elapsed_s=elapsed_s,
            **told,
        )


@dataclass(frozen=True, kw_only=True)
class Startup(Checked):
    """What comes before the steady state, ms.

    Attributes:
        init_ms: Loading the file and making it ready, in a process that holds the runtime already.
        first_inference_ms: The first inference after that.
        compile_ms: Compiling on the device, as Core ML does.
        load_cold_ms: Loading with nothing of it cached.
        load_warm_ms: Loading again.
        cold_start_ms: Start of a fresh process to its first answer, the runtime's own load
            included.
    """

    init_ms: Ms | None = None
    first_inference_ms: Ms | None = None
    compile_ms: Ms | None = None
    load_cold_ms: Ms | None = None
    load_warm_ms: Ms | None = None
    cold_start_ms: Ms | None = None


@dataclass(frozen=True, kw_only=True)
class Ratio(Checked):
    """Latency a face over the reference's in the same rounds; below 1 is faster.

    Attributes:
        reference: File name of the reference, the model's float32 TFLite file, one face an
            inference.
        reference_sha256: Its hash.
        reference_threads: Its threads: the fewest that were measured, so that the ratio tells what
            threads and batches bring as well.
        median: Over the rounds.
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
            self.refuse("an interval has two ends")
        if self.low is not None and self.high is not None and self.low > self.high:
            self.refuse(f"an interval from {self.low:g} to {self.high:g}")
