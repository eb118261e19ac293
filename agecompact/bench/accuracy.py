"""How far an artefact's outputs are from PyTorch's, by the golden pack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.figures import OutputAccuracy
from agecompact.outputs import Output, Values


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
        The error of the answers, of several outputs the one that is nearest to its limit or the
        furthest beyond it; None where an answer is not finite.

    Raises:
        OutputMismatch: An output is missing, or has another number of samples.
    """
    count = len(pack.samples) if samples is None else samples
    if missing := pack.outputs.keys() - outputs.keys():
        raise OutputMismatch(f"the model has no output '{', '.join(sorted(missing))}'")
    errors = {
        name: _errors(pack.specs[name], outputs[name], expected[:count])
        for name, expected in pack.outputs.items()
    }
    tolerances = pack.tolerances.get(file, {})
    finite = np.all([np.isfinite(each).all(axis=1) for each in errors.values()], axis=0)
    all_finite = bool(finite.all())
    shares = {name: _share(each, tolerances.get(name)) for name, each in errors.items()}
    worst = max(shares, key=shares.__getitem__) if all_finite else next(iter(errors))
    return OutputAccuracy(
        unit=pack.specs[worst].unit,
        samples=count,
        not_finite=int(np.sum(~finite)),
        weights_sha256=pack.weights_sha256,
        max_error=float(errors[worst].max()) if all_finite else None,
        mean_error=float(errors[worst].mean()) if all_finite else None,
        tolerance=tolerances.get(worst),
    )


def _errors(output: Output, values: npt.ArrayLike, expected: npt.NDArray[np.float32]) -> Values:
    """Absolute errors of the answers, `(samples, answers of a sample)`."""
    predicted = np.asarray(values, np.float64)
    if len(predicted) != len(expected):
        raise OutputMismatch(
            f"output '{output.name}' has {len(predicted)} samples, {len(expected)} were run"
        )
    count, size = expected.shape
    if not predicted.size or predicted.size % expected.size:
        found = predicted.size // count
        raise OutputMismatch(f"output '{output.name}' has {found} values for a sample, not {size}")
    # A batch of one sample has several rows for it.
    rows = output.compared(predicted.reshape(-1, size)).reshape(count, -1)
    wanted = output.compared(expected)
    errors: Values = np.abs(rows - np.tile(wanted, rows.shape[1] // wanted.shape[1]))
    return errors


def _share(errors: Values, tolerance: float | None) -> float:
    """The greatest error as a share of its limit, if there is one."""
    return float(errors.max()) / (tolerance or 1.0)
