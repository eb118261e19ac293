"""How far answers are from the truth: error in years for age, accuracy for gender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError

CA_YEARS = (3, 5, 10)

Values = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Decade:
    """The error over faces of one decade of true age."""

    n: int
    mae_years: float


@dataclass(frozen=True)
class AgeMetrics:
    """Errors of predicted ages.

    Attributes:
        n: Faces.
        mae_years: Mean absolute error.
        rmse_years: Root of the mean squared error.
        ca: Cumulative accuracy, the fraction of faces within n years, by n.
        decades: Error by decade of true age, named by its first year; empty decades are left out.
        prediction_std_years: Spread of the answers: near 0 when the network has collapsed.
        median_mae_years: What answering with the true median for every face would score.
    """

    n: int
    mae_years: float
    rmse_years: float
    ca: Mapping[int, float]
    decades: Mapping[int, Decade]
    prediction_std_years: float
    median_mae_years: float

    def to_json(self) -> dict[str, Any]:
        """The metrics as JSON values: keys are text."""
        record = asdict(self)
        for field in ("ca", "decades"):
            record[field] = {str(key): value for key, value in record[field].items()}
        return record


@dataclass(frozen=True)
class GenderMetrics:
    """Correctness of gender scores, where 0.5 and above is male.

    Attributes:
        n: Faces.
        accuracy: Fraction judged rightly.
        accuracy_female: The same among women.
        accuracy_male: The same among men.
        majority_accuracy: What answering with the more frequent gender for every face would score.
    """

    n: int
    accuracy: float
    accuracy_female: float
    accuracy_male: float
    majority_accuracy: float

    def to_json(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        return asdict(self)


def age_metrics(predicted: Values, true: Values) -> AgeMetrics:
    """Compares ages in years, both `(N,)`.

    Raises:
        UsageError: No faces, unequal counts, or an answer that is NaN or Inf.
    """
    predicted, true = _checked(predicted, true)
    error = np.abs(predicted - true)
    decade = (true // 10).astype(int) * 10
    return AgeMetrics(
        n=len(error),
        mae_years=float(error.mean()),
        rmse_years=float(np.sqrt(np.mean(error**2))),
        ca={years: float(np.mean(error <= years)) for years in CA_YEARS},
        decades={
            int(start): Decade(int(np.sum(decade == start)), float(error[decade == start].mean()))
            for start in np.unique(decade)
        },
        prediction_std_years=float(predicted.std()),
        median_mae_years=float(np.abs(true - np.median(true)).mean()),
    )


def gender_metrics(scores: Values, true: Values) -> GenderMetrics:
    """Compares scores with genders, 0 female and 1 male, both `(N,)`.

    Raises:
        UsageError: No faces, unequal counts, a score that is NaN or Inf, or one gender only.
    """
    scores, true = _checked(scores, true)
    male = true == 1
    if male.all() or not male.any():
        raise UsageError("gender accuracy needs faces of both genders")
    right = (scores >= 0.5) == male
    return GenderMetrics(
        n=len(right),
        accuracy=float(right.mean()),
        accuracy_female=float(right[~male].mean()),
        accuracy_male=float(right[male].mean()),
        majority_accuracy=float(max(male.mean(), 1 - male.mean())),
    )


def _checked(
    predicted: Values, true: Values
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if not len(true) or len(predicted) != len(true):
        raise UsageError(f"cannot compare {len(predicted)} answers with {len(true)} labels")
    if not np.isfinite(predicted).all():
        raise UsageError("the network answers NaN or Inf")
    return predicted.astype(np.float64), true.astype(np.float64)
