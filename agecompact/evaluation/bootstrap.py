"""Percentile bootstrap intervals: how much a mean would vary over other samples of faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = npt.NDArray[np.float64]

# Entries of a block's matrix of counts: 32 MB.
_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of its figure."""

    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are computed.

    Attributes:
        resamples: How often to draw N of the N faces with replacement.
        seed: Seed of the draws. Every call draws anew from it, so that the interval of a group
            depends on the group's own faces only.
        confidence: Fraction of the resampled figures inside an interval.
    """

    resamples: int = 2000
    seed: int = 42
    confidence: float = 0.95

    def intervals(
        self, columns: Columns, transform: Callable[[Columns], Columns] = lambda means: means
    ) -> tuple[Interval | None, ...]:
        """Intervals of the means of columns, or of figures computed from the means.

        Args:
            columns: One row per face, `(N, K)`.
            transform: Maps the means of all resamples, `(resamples, K)`, to figures,
                `(resamples, F)`.

        Returns:
            One interval per figure; None for fewer than two faces.
        """
        figures = transform(self._means(columns))
        if len(columns) < 2:
            return tuple(None for _ in range(figures.shape[1]))
        return tuple(self._percentiles(column) for column in figures.T)

    def _means(self, columns: Columns) -> Columns:
        """The columns' means in every resample, `(resamples, K)`."""
        n = len(columns)
        random = np.random.default_rng(self.seed)
        block = max(1, _BLOCK_ENTRIES // n)
        means: list[npt.NDArray[Any]] = []
        for start in range(0, self.resamples, block):
            rows = min(block, self.resamples - start)
            drawn = random.integers(n, size=(rows, n))
            drawn += n * np.arange(rows)[:, np.newaxis]
            # Counting how often each face was drawn makes all sums one matrix product.
            counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
            means.append(counts.astype(np.float64) @ columns / n)
        return np.concatenate(means)

    def interval(self, values: Columns, statistic: Callable[[Columns], Columns]) -> Interval | None:
        """Interval of a statistic of values, such as their median.

        Args:
            values: `(N,)`.
            statistic: Maps the resamples, `(resamples, N)`, to their statistics, `(resamples,)`.

        Returns:
            The interval; None for fewer than two values.
        """
        n = len(values)
        if n < 2:
            return None
        drawn = np.random.default_rng(self.seed).integers(n, size=(self.resamples, n))
        return self._percentiles(statistic(values[drawn]))

    def _percentiles(self, figures: Columns) -> Interval:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(figures, (tail, 1 - tail))
        return Interval(float(low), float(high))
