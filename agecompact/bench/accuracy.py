"""How far an artefact's outputs are from PyTorch's, by the golden pack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.figures import OutputAccuracy


class OutputMismatch(Exception):  # noqa: N818 - a result to record, not a user's error.
    """The outputs cannot be compared with those of the golden pack; the text says why."""


def output_accuracy(
    outputs: Mapping[str, npt.ArrayLike],
    pack: GoldenPack,
    file: str,
    *,
    samples: int | None = None,
) -> OutputAccuracy:
    """Compares an artefact's outputs with PyTorch's.

    Args:
        outputs: By output name, `(samples, ...)`: all values that it computed for each sample.
            Outputs that the pack does not hold are ignored.
        pack: The golden pack.
        file: File name of the artefact, which has its own tolerance in the pack.
        samples: How many samples were run, from the pack's first; None for all.

    Returns:
        The error in the pack's unit; None where a value is not finite.

    Raises:
        OutputMismatch: An output is missing, or has another number of samples.
    """
    count = len(pack.samples) if samples is None else samples
    if missing := pack.outputs.keys() - outputs.keys():
        raise OutputMismatch(f"the model has no output '{', '.join(sorted(missing))}'")
    errors = np.concatenate(
        [_errors(name, outputs[name], expected[:count]) for name, expected in pack.outputs.items()],
        axis=1,
    )
    finite = np.isfinite(errors).all(axis=1)
    all_finite = bool(finite.all())
    return OutputAccuracy(
        unit=pack.unit,
        samples=count,
        not_finite=int(np.sum(~finite)),
        weights_sha256=pack.weights_sha256,
        max_error=float(errors.max()) if all_finite else None,
        mean_error=float(errors.mean()) if all_finite else None,
        tolerance=pack.tolerances.get(file),
    )


def _errors(
    name: str, values: npt.ArrayLike, expected: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Absolute errors, `(samples, values of a sample)`."""
    predicted = np.asarray(values, np.float64)
    if len(predicted) != len(expected):
        raise OutputMismatch(
            f"output '{name}' has {len(predicted)} samples, {len(expected)} were run"
        )
    rows = predicted.reshape(len(expected), -1)
    difference: npt.NDArray[np.float64] = np.abs(rows - expected.astype(np.float64)[:, np.newaxis])
    return difference
