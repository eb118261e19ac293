"""How far predictions are from the labels: errors in years for age, accuracy for gender."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.data.face import GENDERS
from agecompact.errors import UsageError
from agecompact.evaluation.bootstrap import Bootstrap, Columns, Interval

CA_YEARS = (3, 5, 10)

Values = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]
_Floats = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """A measured value.

    Attributes:
        value: The value, in the unit that the figure's name says.
        interval: Its bootstrap interval; None for a single face, or if none was requested.
    """

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class AgeFigures:
    """The error of predicted ages over some faces.

    Attributes:
        n: Number of faces.
        mae_years: Mean absolute error.
        bias_years: Mean of prediction minus label: positive if faces are predicted too old. A
            group's bias has no interval.
    """

    n: int
    mae_years: Figure
    bias_years: Figure

    @property
    def headline(self) -> Figure:
        """The figure that models are compared by."""
        return self.mae_years


@dataclass(frozen=True)
class AgeMetrics(AgeFigures):
    """The error of predicted ages over all faces.

    Attributes:
        rmse_years: Root of the mean squared error.
        ca: Cumulative accuracy by number of years: the fraction of faces with a smaller error.
        decades: The error by decade of true age, keyed by its first year; empty decades are left
            out.
        genders: The error by gender, `female`, `male` or `unknown`; empty if none was given.
        prediction_std_years: Standard deviation of the predictions: near 0 if the network has
            collapsed.
        median_mae_years: MAE of predicting the median label for every face.
    """

    rmse_years: Figure
    ca: Mapping[int, Figure]
    decades: Mapping[int, AgeFigures]
    genders: Mapping[str, AgeFigures]
    prediction_std_years: float
    median_mae_years: float


@dataclass(frozen=True)
class GenderFigures:
    """The accuracy of gender scores over some faces; a score of 0.5 or more means male.

    Attributes:
        n: Number of faces.
        accuracy: Fraction of faces with the right gender.
    """

    n: int
    accuracy: Figure

    @property
    def headline(self) -> Figure:
        """The figure that models are compared by."""
        return self.accuracy


@dataclass(frozen=True)
class GenderMetrics(GenderFigures):
    """The accuracy of gender scores over all faces.

    Attributes:
        majority_accuracy: Accuracy of predicting the more frequent gender for every face.
        decades: Accuracy by decade of true age, keyed by its first year; empty if no age was given.
        genders: Accuracy by gender, `female` and `male`.
    """

    majority_accuracy: float
    decades: Mapping[int, GenderFigures]
    genders: Mapping[str, GenderFigures]


Metrics = AgeMetrics | GenderMetrics


def values_json(metrics: Any) -> Any:
    """Metrics, or a part of them, as JSON values without intervals; all keys are text."""
    if isinstance(metrics, Figure):
        return metrics.value
    if is_dataclass(metrics):
        return {each.name: values_json(getattr(metrics, each.name)) for each in fields(metrics)}
    if isinstance(metrics, Mapping):
        return {str(key): values_json(value) for key, value in metrics.items()}
    return metrics


def intervals_json(metrics: Metrics) -> dict[str, Any]:
    """The intervals of metrics as JSON values; a group has that of its headline figure."""

    def interval(figure: Figure | AgeFigures | GenderFigures) -> dict[str, float] | None:
        found = (figure if isinstance(figure, Figure) else figure.headline).interval
        return asdict(found) if found else None

    intervals: dict[str, Any] = {}
    for each in fields(metrics):
        value = getattr(metrics, each.name)
        if isinstance(value, Figure):
            intervals[each.name] = interval(value)
        elif isinstance(value, Mapping):
            intervals[each.name] = {str(key): interval(item) for key, item in value.items()}
    return intervals


def age_metrics(
    predicted: Values,
    true: Values,
    genders: Iterable[int | None] | None = None,
    bootstrap: Bootstrap | None = None,
) -> AgeMetrics:
    """Compares ages in years, both `(N,)`.

    Args:
        predicted: Predictions.
        true: Labels.
        genders: 0 female, 1 male or None for each face, to group by.
        bootstrap: How to compute intervals; None for none, which takes a fraction of the time.

    Raises:
        UsageError: There are no faces, unequal counts, or a prediction that is NaN or Inf.
    """
    predicted, true = _checked(predicted, true)
    signed = predicted - true
    error = np.abs(signed)
    within = [(error <= years).astype(np.float64) for years in CA_YEARS]

    def with_root(means: Columns) -> Columns:
        means[:, 1] = np.sqrt(means[:, 1])
        return means

    def group(faces: _Mask) -> AgeFigures:
        (mae,) = _figures([error[faces]], bootstrap)
        return AgeFigures(int(faces.sum()), mae, Figure(float(signed[faces].mean())))

    mae, rmse, bias, *ca = _figures([error, error**2, signed, *within], bootstrap, with_root)
    return AgeMetrics(
        n=len(error),
        mae_years=mae,
        rmse_years=rmse,
        bias_years=bias,
        ca=dict(zip(CA_YEARS, ca, strict=True)),
        decades={start: group(faces) for start, faces in _by_decade(true).items()},
        genders={name: group(faces) for name, faces in _by_gender(genders).items()},
        prediction_std_years=float(predicted.std()),
        median_mae_years=float(np.abs(true - np.median(true)).mean()),
    )


def gender_metrics(
    scores: Values, true: Values, ages: Values | None = None, bootstrap: Bootstrap | None = None
) -> GenderMetrics:
    """Compares scores with genders, 0 female and 1 male, both `(N,)`.

    Args:
        scores: Predictions.
        true: Labels.
        ages: The age of each face in years, to group by.
        bootstrap: How to compute intervals; None for none, which takes a fraction of the time.

    Raises:
        UsageError: There are no faces, unequal counts, a score that is NaN or Inf, or faces of one
            gender only.
    """
    scores, true = _checked(scores, true)
    male = true == 1
    if male.all() or not male.any():
        raise UsageError(
            "gender accuracy needs faces of both genders",
            fix="use faces of both genders, or a larger --limit",
        )
    right = ((scores >= 0.5) == male).astype(np.float64)

    def group(faces: _Mask) -> GenderFigures:
        return GenderFigures(int(faces.sum()), *_figures([right[faces]], bootstrap))

    (accuracy,) = _figures([right], bootstrap)
    return GenderMetrics(
        n=len(right),
        accuracy=accuracy,
        majority_accuracy=float(max(male.mean(), 1 - male.mean())),
        decades={start: group(faces) for start, faces in _by_decade(ages).items()},
        genders={name: group(faces) for name, faces in _by_gender(male.astype(int)).items()},
    )


def _figures(
    columns: Sequence[_Floats],
    bootstrap: Bootstrap | None,
    transform: Callable[[Columns], Columns] = lambda means: means,
) -> list[Figure]:
    """The means of columns, each `(N,)`, after a transform of `(K, columns)` means."""
    # The mean of each column by itself: NumPy sums the columns of a matrix less precisely.
    values = transform(np.array([[column.mean() for column in columns]]))[0]
    intervals: Sequence[Interval | None] = [None] * len(columns)
    if bootstrap:
        intervals = bootstrap.intervals(np.stack(columns, axis=1), transform)
    return [Figure(float(value), each) for value, each in zip(values, intervals, strict=True)]


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


def _checked(predicted: Values, true: Values) -> tuple[_Floats, _Floats]:
    if not len(true) or len(predicted) != len(true):
        raise UsageError(f"cannot compare {len(predicted)} predictions with {len(true)} labels")
    if not np.isfinite(predicted).all():
        raise UsageError("the network outputs NaN or Inf")
    return predicted.astype(np.float64), true.astype(np.float64)
