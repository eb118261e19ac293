"""How far answers are from the truth: error in years for age, accuracy for gender.

Figures and their intervals are separate structures of the same shape: a training loop asks for the
figures every epoch, a report asks for both once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError
from agecompact.evaluation.bootstrap import Bootstrap, Interval

CA_YEARS = (3, 5, 10)
GENDERS: Mapping[int | None, str] = {0: "female", 1: "male", None: "unknown"}

Values = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]
_Mask = npt.NDArray[np.bool_]
_Key = TypeVar("_Key", int, str)


@dataclass(frozen=True)
class AgeGroup:
    """The error over some of the faces.

    Attributes:
        n: Faces.
        mae_years: Mean absolute error.
        bias_years: Mean of answer less truth: above 0, they are told too old.
    """

    n: int
    mae_years: float
    bias_years: float


@dataclass(frozen=True)
class AgeMetrics:
    """Errors of predicted ages.

    Attributes:
        n: Faces.
        mae_years: Mean absolute error.
        rmse_years: Root of the mean squared error.
        bias_years: Mean of answer less truth: above 0, faces are told too old.
        ca: Cumulative accuracy, the fraction of faces within n years, by n.
        decades: Error by decade of true age, named by its first year; empty decades are left out.
        genders: Error by gender, `female`, `male` or `unknown`; empty where none was given.
        prediction_std_years: Spread of the answers: near 0 when the network has collapsed.
        median_mae_years: What answering with the true median for every face would score.
    """

    n: int
    mae_years: float
    rmse_years: float
    bias_years: float
    ca: Mapping[int, float]
    decades: Mapping[int, AgeGroup]
    genders: Mapping[str, AgeGroup]
    prediction_std_years: float
    median_mae_years: float

    def to_json(self) -> dict[str, Any]:
        """The metrics as JSON values: keys are text."""
        return _json(self)


@dataclass(frozen=True)
class AgeIntervals:
    """Intervals of the figures of `AgeMetrics`, None where there is but one face.

    Attributes:
        mae_years: Of the mean absolute error.
        rmse_years: Of the root of the mean squared error.
        bias_years: Of the mean of answer less truth.
        ca: Of the cumulative accuracies, by years.
        decades: Of each decade's mean absolute error.
        genders: Of each gender's mean absolute error.
    """

    mae_years: Interval | None
    rmse_years: Interval | None
    bias_years: Interval | None
    ca: Mapping[int, Interval | None]
    decades: Mapping[int, Interval | None]
    genders: Mapping[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """The intervals as JSON values: keys are text."""
        return _json(self)


@dataclass(frozen=True)
class GenderGroup:
    """Correctness over some of the faces."""

    n: int
    accuracy: float


@dataclass(frozen=True)
class GenderMetrics:
    """Correctness of gender scores, where 0.5 and above is male.

    Attributes:
        n: Faces.
        accuracy: Fraction judged rightly.
        majority_accuracy: What answering with the more frequent gender for every face would score.
        decades: Accuracy by decade of true age, named by its first year; empty where no age was
            given.
        genders: Accuracy by gender, `female` and `male`.
    """

    n: int
    accuracy: float
    majority_accuracy: float
    decades: Mapping[int, GenderGroup]
    genders: Mapping[str, GenderGroup]

    def to_json(self) -> dict[str, Any]:
        """The metrics as JSON values: keys are text."""
        return _json(self)


@dataclass(frozen=True)
class GenderIntervals:
    """Intervals of the accuracies of `GenderMetrics`, None where there is but one face."""

    accuracy: Interval | None
    decades: Mapping[int, Interval | None]
    genders: Mapping[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """The intervals as JSON values: keys are text."""
        return _json(self)


Metrics = AgeMetrics | GenderMetrics
Intervals = AgeIntervals | GenderIntervals


def age_metrics(
    predicted: Values, true: Values, genders: Iterable[int | None] | None = None
) -> AgeMetrics:
    """Compares ages in years, both `(N,)`.

    Args:
        predicted: Answers.
        true: Ages.
        genders: 0 female, 1 male or None of each face, to compare by.

    Raises:
        UsageError: No faces, unequal counts, or an answer that is NaN or Inf.
    """
    predicted, true = _checked(predicted, true)
    signed = predicted - true
    error = np.abs(signed)

    def group(faces: _Mask) -> AgeGroup:
        return AgeGroup(int(faces.sum()), float(error[faces].mean()), float(signed[faces].mean()))

    return AgeMetrics(
        n=len(error),
        mae_years=float(error.mean()),
        rmse_years=float(np.sqrt(np.mean(error**2))),
        bias_years=float(signed.mean()),
        ca={years: float(np.mean(error <= years)) for years in CA_YEARS},
        decades={start: group(faces) for start, faces in _by_decade(true).items()},
        genders={name: group(faces) for name, faces in _by_gender(genders).items()},
        prediction_std_years=float(predicted.std()),
        median_mae_years=float(np.abs(true - np.median(true)).mean()),
    )


def age_intervals(
    predicted: Values,
    true: Values,
    genders: Iterable[int | None] | None = None,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen.
) -> AgeIntervals:
    """Intervals of what `age_metrics` gives for the same arguments.

    Raises:
        UsageError: No faces, unequal counts, or an answer that is NaN or Inf.
    """
    predicted, true = _checked(predicted, true)
    signed = predicted - true
    error = np.abs(signed)
    within = [(error <= years).astype(np.float64) for years in CA_YEARS]

    def rooted(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        means[:, 1] = np.sqrt(means[:, 1])
        return means

    mae, rmse, bias, *ca = bootstrap.intervals(
        np.stack([error, error**2, signed, *within], axis=1), rooted
    )
    return AgeIntervals(
        mae_years=mae,
        rmse_years=rmse,
        bias_years=bias,
        ca=dict(zip(CA_YEARS, ca, strict=True)),
        decades=_group_intervals(error, _by_decade(true), bootstrap),
        genders=_group_intervals(error, _by_gender(genders), bootstrap),
    )


def gender_metrics(scores: Values, true: Values, ages: Values | None = None) -> GenderMetrics:
    """Compares scores with genders, 0 female and 1 male, both `(N,)`.

    Args:
        scores: Answers.
        true: Genders.
        ages: Of each face in years, to compare by.

    Raises:
        UsageError: No faces, unequal counts, a score that is NaN or Inf, or one gender only.
    """
    right, male = _judged(scores, true)

    def group(faces: _Mask) -> GenderGroup:
        return GenderGroup(int(faces.sum()), float(right[faces].mean()))

    return GenderMetrics(
        n=len(right),
        accuracy=float(right.mean()),
        majority_accuracy=float(max(male.mean(), 1 - male.mean())),
        decades={start: group(faces) for start, faces in _by_decade(ages).items()},
        genders={name: group(faces) for name, faces in _by_gender(male.astype(int)).items()},
    )


def gender_intervals(
    scores: Values,
    true: Values,
    ages: Values | None = None,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen.
) -> GenderIntervals:
    """Intervals of what `gender_metrics` gives for the same arguments.

    Raises:
        UsageError: No faces, unequal counts, a score that is NaN or Inf, or one gender only.
    """
    right, male = _judged(scores, true)
    (accuracy,) = bootstrap.intervals(right[:, np.newaxis])
    return GenderIntervals(
        accuracy=accuracy,
        decades=_group_intervals(right, _by_decade(ages), bootstrap),
        genders=_group_intervals(right, _by_gender(male.astype(int)), bootstrap),
    )


def _judged(scores: Values, true: Values) -> tuple[npt.NDArray[np.float64], _Mask]:
    """1 where a score is on the right side and 0 elsewhere, and which faces are male."""
    scores, true = _checked(scores, true)
    male = true == 1
    if male.all() or not male.any():
        raise UsageError("gender accuracy needs faces of both genders")
    return ((scores >= 0.5) == male).astype(np.float64), male


def _by_decade(ages: Values | None) -> dict[int, _Mask]:
    if ages is None:
        return {}
    decade = (ages // 10).astype(int) * 10
    return {int(start): decade == start for start in np.unique(decade)}


def _by_gender(genders: Iterable[int | None] | None) -> dict[str, _Mask]:
    listed = list(genders) if genders is not None else []
    masks = {
        name: np.array([gender == value for gender in listed]) for value, name in GENDERS.items()
    }
    return {name: mask for name, mask in masks.items() if mask.any()}


def _group_intervals(
    values: npt.NDArray[np.float64], groups: Mapping[_Key, _Mask], bootstrap: Bootstrap
) -> dict[_Key, Interval | None]:
    return {key: bootstrap.intervals(values[faces, np.newaxis])[0] for key, faces in groups.items()}


def _json(figures: AgeMetrics | AgeIntervals | GenderMetrics | GenderIntervals) -> dict[str, Any]:
    return {
        name: {str(key): item for key, item in value.items()} if isinstance(value, dict) else value
        for name, value in asdict(figures).items()
    }


def _checked(
    predicted: Values, true: Values
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if not len(true) or len(predicted) != len(true):
        raise UsageError(f"cannot compare {len(predicted)} answers with {len(true)} labels")
    if not np.isfinite(predicted).all():
        raise UsageError("the network answers NaN or Inf")
    return predicted.astype(np.float64), true.astype(np.float64)
