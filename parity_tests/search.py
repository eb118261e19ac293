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

from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.mutations import mutated
from parity_tests.parts import Part, errors_of

Errors = npt.NDArray[np.float64]
# The errors of an input, one for each output, and the input.
_Tried = tuple[Errors, Sample]
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
        samples: For each output, the input with the greatest error; one of the starting inputs if
            none was worse.
        errors: Those errors, each in its output's unit.
        tried: How many inputs were tried.
    """

    samples: tuple[Sample, ...]
    errors: tuple[float, ...]
    tried: int


def search(
    reference: Predict,
    candidate: Predict,
    parts: Sequence[Part],
    starts: Sequence[Sample],
    start_errors: Errors,
    budget: Budget,
) -> SearchResult:
    """Searches from inputs whose errors are known.

    Of several outputs, the one with the greatest error as a share of its span leads.

    Args:
        reference: Runs one model.
        candidate: Runs the other.
        parts: The outputs.
        starts: Inputs to begin with.
        start_errors: Their errors, `(starts, outputs)`.
        budget: How long to search.
    """
    random = np.random.default_rng(budget.seed)
    widths = np.array([part.width for part in parts])
    pool = _worst_first([*zip(start_errors, starts, strict=True)], widths)
    found = [max(pool, key=lambda pair, i=i: pair[0][i]) for i in range(len(parts))]  # type: ignore[misc]
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
        errors = errors_of(parts, reference(children), candidate(children))
        tried = list(zip(errors, children, strict=True))
        found = [
            max([best, *tried], key=lambda pair, i=i: pair[0][i])  # type: ignore[misc]
            for i, best in enumerate(found)
        ]
        pool = _worst_first([*pool, *tried], widths)
    return SearchResult(
        tuple(sample for _, sample in found),
        tuple(float(errors[i]) for i, (errors, _) in enumerate(found)),
        budget.rounds * budget.children,
    )


def _worst_first(pool: list[_Tried], widths: Errors) -> list[_Tried]:
    return sorted(pool, key=lambda pair: -float((pair[0] / widths).max()))
