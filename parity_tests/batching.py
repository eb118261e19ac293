"""Checks that faces may share a call: an answer must not depend on the others in its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parity_tests.comparing import failed
from parity_tests.parts import errors_of
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner

# A prime: rows of crops that are mixed up, or of a batch that is cut in equal pieces, then show.
ROWS = 7


def check_batch(
    results: Sequence[Result], runner: ModelRunner, reference: Reference
) -> tuple[Result, ...]:
    """Runs different images in one call of a file that takes any number of them.

    One image a call shows none of this: a mean over the batch, an axis of it that is folded into
    another, a row that is answered for all.

    Args:
        results: One for each output, which all pass with one image a call.
        runner: The artefact.
        reference: What it is compared with.

    Raises:
        Failure: The runtime fails on a batch, or an output does not have one row for each
            image.
    """
    # The answers are spread over the range, so that no two rows may be exchanged.
    order = np.argsort(reference.outputs[:, 0])
    rows = order[np.linspace(0, len(order) - 1, ROWS).astype(int)]
    samples = [reference.samples[i] for i in rows]
    outputs = runner.outputs_together(samples)
    errors = errors_of(reference.parts, reference.outputs[rows], outputs)
    judged = []
    for result, column in zip(results, errors.T, strict=True):
        worst = int(column.argmax())
        gates = result.tolerance
        # These inputs are not only the fixed ones.
        if gates is not None and not column[worst] <= gates.searched:
            reason = (
                f"in a batch of {ROWS}, the answer for '{samples[worst].name}' is "
                f"{column[worst]:.3g} {result.unit} off, {gates.searched:g} allowed; alone it is "
                "right"
            )
            result = failed(result, Failure("batch", reason))
        judged.append(result)
    return tuple(judged)
