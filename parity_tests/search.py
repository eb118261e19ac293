"""A short search for the input on which two models disagree most.

The fixed inputs show one error; a search that starts from the worst of them finds a greater one,
which a tester or a user's camera would only meet by chance. It needs no gradients, so it works for
any two runtimes. The same seed tries the same inputs wherever both models give the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parity_tests.compare import Outputs, output_errors
from parity_tests.inputs import Sample
from parity_tests.mutations import mutated
from parity_tests.spans import Span

Predict = Callable[[Sequence[Sample]], Outputs]


@dataclass(frozen=True)
class Budget:
    """How long to search.

    Attributes:
        rounds: Generations.
        children: Inputs tried in each generation.
        parents: How many of the worst inputs so far each generation changes.
        seed: Seed of the changes.
    """

    rounds: int = 4
    children: int = 8
    parents: int = 4
    seed: int = 20_180_713


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        sample: The input with the greatest error; one of the starting inputs if none was worse.
        error: That error, in the output's unit.
        tried: How many inputs were tried.
    """

    sample: Sample
    error: float
    tried: int


def search(
    reference: Predict,
    candidate: Predict,
    starts: Sequence[Sample],
    start_errors: npt.NDArray[np.float64],
    budget: Budget,
    span: Span,
) -> SearchResult:
    """Searches from inputs whose error is known.

    Args:
        reference: Runs one model.
        candidate: Runs the other.
        starts: Inputs to begin with.
        start_errors: Their errors, `(starts,)`.
        budget: How long to search.
        span: The span of the outputs' unit.
    """
    random = np.random.default_rng(budget.seed)
    pool = sorted(zip(start_errors, starts, strict=True), key=lambda pair: -pair[0])
    donors = [sample for _, sample in pool]
    for generation in range(budget.rounds):
        children = [
            mutated(
                pool[random.integers(min(budget.parents, len(pool)))][1],
                donors[random.integers(len(donors))],
                f"searched {generation}.{i}",
                random,
            )
            for i in range(budget.children)
        ]
        found = output_errors(reference(children), candidate(children), span)
        pool = sorted([*pool, *zip(found, children, strict=True)], key=lambda pair: -pair[0])
    worst, sample = pool[0]
    return SearchResult(sample, float(worst), budget.rounds * budget.children)
