"""Statistics of timed inferences, the same for every driver."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.evaluation.bootstrap import Bootstrap, Interval


@dataclass(frozen=True)
class Summary:
    """Statistics of samples, in their unit.

    Attributes:
        p50: Median.
        p90: 90th percentile, interpolated linearly (numpy's default).
        p99: 99th percentile, interpolated linearly.
        mean: Mean.
        std: Standard deviation, n - 1; None for a single sample.
        min: Minimum.
        max: Maximum.
    """

    p50: float
    p90: float
    p99: float
    mean: float
    std: float | None
    min: float
    max: float


def summarise(samples: Sequence[float]) -> Summary:
    """Returns the statistics of one or more samples."""
    values = np.asarray(samples, np.float64)
    p50, p90, p99 = (float(v) for v in np.percentile(values, (50, 90, 99)))
    return Summary(
        p50=p50,
        p90=p90,
        p99=p99,
        # Exact summation: a mean rounded above the maximum would be refused.
        mean=math.fsum(values) / len(values),
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        min=float(values.min()),
        max=float(values.max()),
    )


def pooled_mean(counts: Sequence[int], means: Sequence[float]) -> float:
    """Returns the mean of all samples of several rounds, from their counts and means."""
    return math.fsum(n * mean for n, mean in zip(counts, means, strict=True)) / sum(counts)


def pooled_std(
    counts: Sequence[int], means: Sequence[float], stds: Sequence[float | None]
) -> float | None:
    """Standard deviation, n - 1, of all samples of several rounds.

    Args:
        counts: Number of samples of each round.
        means: Mean of each round.
        stds: Standard deviation of each round, n - 1; None for a round of a single sample.

    Returns:
        The deviation; None if a round of several samples has none, or for a single sample.
    """
    rounds = list(zip(counts, means, stds, strict=True))
    if sum(counts) < 2 or any(std is None and n > 1 for n, _, std in rounds):
        return None
    mean = pooled_mean(counts, means)
    squares = math.fsum((n - 1) * (std or 0.0) ** 2 + n * (m - mean) ** 2 for n, m, std in rounds)
    return math.sqrt(squares / (sum(counts) - 1))


def paired_ratio(
    rounds_ms: Sequence[Sequence[float]], reference_ms: Sequence[Sequence[float]]
) -> tuple[float, Interval | None]:
    """Latency ratio of two artefacts that were timed alternately, round by round.

    A machine that slows down slows both halves of a round, so the ratio of a round's medians is
    stable while absolute times drift. The interval resamples rounds, not inferences, because the
    inferences of one round share its disturbance.

    Args:
        rounds_ms: Samples of each round.
        reference_ms: Samples of the reference in the same rounds.

    Returns:
        The median over the rounds of the ratio within a round, and the 95 % confidence interval of
        that median, which is None for a single round.

    Raises:
        ValueError: The numbers of rounds differ.
    """
    ratios = np.array(
        [
            float(np.median(samples) / np.median(reference))
            for samples, reference in zip(rounds_ms, reference_ms, strict=True)
        ]
    )
    return float(np.median(ratios)), median_interval(ratios)


def median_interval(values: npt.NDArray[np.float64]) -> Interval | None:
    """Percentile-bootstrap interval of a median; None for fewer than two values."""
    return Bootstrap().interval(values, lambda resamples: np.median(resamples, axis=1))
