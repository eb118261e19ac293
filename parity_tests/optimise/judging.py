"""How far a candidate's answers are from those of the weights, on faces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agecompact.bench.figures import OutputAccuracy
from agecompact.data.face import spread
from agecompact.errors import GateError
from agecompact.evaluation.pictures import Picture
from agecompact.evaluation.prediction import BATCH, open_artifact, output_of
from agecompact.files import canonical_json
from agecompact.formats import Runtime
from agecompact.outputs import Output
from agecompact.runtimes.reading import read_metadata
from parity_tests.inputs import Sample
from parity_tests.optimise.records import Errors

_Values = npt.NDArray[np.float64]


class Judge:
    """Compares artefacts with the weights that they were made from.

    Args:
        weights: The weights file, or the ONNX file in its place.
        output: The output whose answers are compared, which the weights' contract has.
        pictures: The faces; all of them have labels, or none.
        runtime: What runs the artefacts; by default the first runtime of their format.
    """

    def __init__(
        self,
        weights: Path,
        output: Output,
        pictures: Sequence[Picture],
        runtime: Runtime | None = None,
    ) -> None:
        self._weights = weights
        self._output = output
        self._pictures = pictures
        self._runtime = runtime

    @cached_property
    def faces_sha256(self) -> str:
        """Hash of all that the errors depend on besides the two files."""
        faces = [[p.sha256, p.framing.key, p.truth] for p in self._pictures]
        by = [self._runtime.name] if self._runtime else []
        return hashlib.sha256(canonical_json([self._output.name, faces, *by]).encode()).hexdigest()

    @cached_property
    def _expected(self) -> _Values:
        return _values(self._weights, self._output, self._pictures)

    def errors(self, artefact: Path) -> Errors:
        """The errors of an artefact.

        Args:
            artefact: Its file.

        Raises:
            UsageError: It does not run.
            GateError: An answer is NaN or infinite.
        """
        expected = self._expected
        found = _values(artefact, self._output, self._pictures, self._runtime)
        compared = self._output.compared
        errors = np.abs(compared(found) - compared(expected)).max(axis=1)
        measured = Errors(
            faces_sha256=self.faces_sha256,
            faces=len(errors),
            p99=float(np.percentile(errors, 99)),
            mean=float(errors.mean()),
            greatest=float(errors.max()),
        )
        if self._pictures[0].truth is None:
            return measured
        cost = self._mean_absolute_error(found) - self._mean_absolute_error(expected)
        return replace(measured, mae_cost=cost)

    def errors_there(self, accuracy: OutputAccuracy | None) -> Errors | None:
        """The errors that another processor made on `samples`; None if they are not known.

        The greatest takes the place of the 99th percentile. The mean absolute error cannot grow by
        more than the mean error.
        """
        contract = read_metadata(self._weights).contract
        # Of several values, only the worst ones are known.
        if accuracy is None or len(contract.outputs) > 1 or self._output.compared_size > 1:
            return None
        if accuracy.max_error is None or accuracy.mean_error is None:
            return None
        return Errors(
            faces_sha256=self.faces_sha256,
            faces=accuracy.samples,
            p99=accuracy.max_error,
            mean=accuracy.mean_error,
            greatest=accuracy.max_error,
            mae_cost=None if self._pictures[0].truth is None else accuracy.mean_error,
        )

    def samples(self, most: int) -> list[Sample]:
        """Some of the faces, evenly spread, as inputs of a golden pack."""
        crop = read_metadata(self._weights).contract.crop
        some = spread(self._pictures, most)
        return [Sample(f"face {i}", crop(each.chip())) for i, each in enumerate(some)]

    def _mean_absolute_error(self, values: _Values) -> float:
        truth = np.array([picture.truth for picture in self._pictures], np.float64)
        return float(np.abs(self._output.answers(values)[:, 0] - truth).mean())


def _values(
    path: Path, output: Output, pictures: Sequence[Picture], runtime: Runtime | None = None
) -> _Values:
    """What a file writes as an output for pictures, `(pictures, size)`."""
    contract = read_metadata(path).contract
    made = []
    with open_artifact(path, 1, runtime) as (model, _):
        for start in range(0, len(pictures), BATCH):
            chips = [picture.chip() for picture in pictures[start : start + BATCH]]
            result = model.run(model.stage(contract.batch(chips)))
            made.append(output_of(result.values, output, len(chips)))
    values = np.concatenate(made).astype(np.float64)
    if not np.isfinite(values).all():
        raise GateError(f"{path.name} gives an answer that is NaN or infinite")
    return values
