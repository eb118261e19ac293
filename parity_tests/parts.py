"""The outputs of a model as parts of one matrix, in which two models are compared.

The matrix has a row for each input. Its columns are the answers of all outputs, in the contract's
order; of an arg-max, the values that it is taken of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract
from agecompact.outputs import Output
from parity_tests.compare import Outputs
from parity_tests.results import Failure
from parity_tests.spans import Span, spans_of


@dataclass(frozen=True)
class Part:
    """One output in the matrix.

    Attributes:
        output: The output.
        columns: Its columns.
        spans: The span of each of them.
    """

    output: Output
    columns: slice
    spans: tuple[Span, ...]

    @property
    def unit(self) -> str:
        """Unit of its columns."""
        return self.output.compared_unit

    @property
    def width(self) -> float:
        """Width of its spans, which the gates are shares of."""
        return self.spans[0].width

    def of(self, outputs: Outputs) -> Outputs:
        """Its columns of a matrix."""
        return outputs[:, self.columns]

    def errors(self, reference: Outputs, candidate: Outputs) -> npt.NDArray[np.float64]:
        """The error of each sample, `(samples,)`; of several columns, the greatest counts.

        It is absolute. Only where the reference's answer is beyond the span, and rounding grows
        with it, it is divided by `Span.scale`.

        Args:
            reference: The reference's matrix, finite.
            candidate: The candidate's, finite.
        """
        right, wrong = self.of(reference), self.of(candidate)
        scales = [span.scale(column) for span, column in zip(self.spans, right.T, strict=True)]
        errors: npt.NDArray[np.float64] = (np.abs(wrong - right) / np.transpose(scales)).max(axis=1)
        return errors


def errors_of(
    parts: Sequence[Part], reference: Outputs, candidate: Outputs
) -> npt.NDArray[np.float64]:
    """The errors of each sample in each output, `(samples, outputs)`."""
    return np.stack([part.errors(reference, candidate) for part in parts], axis=1)


def parts_of(contract: Contract, faces: Outputs) -> tuple[Part, ...]:
    """The parts of a model's matrix.

    Args:
        contract: The model's contract.
        faces: The rows of the reference's matrix that are of faces.
    """
    parts: list[Part] = []
    start = 0
    for output in contract.outputs:
        columns = slice(start, start + output.compared_size)
        spans = spans_of(output.compared_unit, faces[:, columns])
        parts.append(Part(output, columns, spans))
        start = columns.stop
    return tuple(parts)


def column_weights(contract: Contract, column: int) -> dict[str, list[float]]:
    """A weighted sum of outputs that rises with a column of the matrix, for its gradient.

    Args:
        contract: The model's contract.
        column: The column.

    Returns:
        By output name, the weight of each of its values.
    """
    for output in contract.outputs:
        if column < output.compared_size:
            if output.compared_size == output.size:
                weights = np.eye(output.size)[column]
            else:
                # The mean of bins rises where the later ones gain.
                weights = np.arange(output.size) - (output.size - 1) / 2
            sign = 1.0 if output.reading.kind == "argmax" else np.sign(output.reading.scale)
            return {output.name: (sign * weights).tolist()}
        column -= output.compared_size
    raise IndexError(column)


def values_of(
    found: Mapping[str, npt.NDArray[np.generic]], contract: Contract, rows: int
) -> dict[str, npt.NDArray[np.float64]]:
    """What a model wrote, by output name, `(rows, size)`.

    Args:
        found: By output name, for each row the values of a batch of 1.
        contract: The model's contract.
        rows: Number of rows.

    Raises:
        Failure: An output is missing or has another shape.
    """
    made = {}
    for output in contract.outputs:
        # What comes out is not always what the file declares.
        values = found.get(output.name)
        if values is None:
            raise Failure("names", f"the file has no output '{output.name}'")
        if values.size != rows * output.size:
            shape, wanted = values.shape[1:], (1, output.size)
            raise Failure("shapes", f"output '{output.name}' has shape {shape}, not {wanted}")
        made[output.name] = np.asarray(values, np.float64).reshape(rows, output.size)
    return made


def matrix(values: Mapping[str, npt.NDArray[np.float64]], contract: Contract) -> Outputs:
    """The matrix of what a model wrote, as `values_of` gives it."""
    return np.concatenate([o.compared(values[o.name]) for o in contract.outputs], axis=1)
