"""How far a model's answers move if an app makes a mistake in preprocessing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.preprocessing import Cost, Figure
from agecompact.contract import Contract, Image, Output, Tensor
from agecompact.data.face import Target
from agecompact.errors import UsageError
from agecompact.evaluation import mistakes
from agecompact.evaluation.mistakes import Mistake
from agecompact.evaluation.pictures import Picture
from agecompact.evaluation.prediction import BATCH, Model, ahead, output_of
from agecompact.files import canonical_json
from agecompact.serialization import unstructure

FIGURES: Mapping[Target, Figure] = {"age": "mae", "gender": "accuracy"}

_Prepare = Callable[[Sequence[Image]], Mapping[str, Tensor]]
_Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """What mistakes cost.

    Attributes:
        figure: The figure on labels; None without them.
        right: The figure with the right inputs, likewise.
        costs: For each mistake that the contract allows, in the order of the registry.
    """

    figure: Figure | None
    right: float | None
    costs: tuple[Cost, ...]


def measure(
    model: Model[Any],
    contract: Contract,
    output: Output,
    pictures: Sequence[Picture],
    figure: Figure | None = None,
    step: Callable[[int], None] = lambda _: None,
) -> Costs:
    """Runs a model on the right inputs of faces, and on those of every mistake.

    Args:
        model: The model.
        contract: How chips become its inputs, in the layout and dtype it takes.
        output: The output whose answers are compared, one of the contract's.
        pictures: The faces, at least one; a batch of their chips is in memory at a time.
        figure: What to compare with labels, which all pictures then have; None for nothing.
        step: Called with the number of faces that are done.

    Raises:
        UsageError: A picture or the model cannot be run, or an answer to right inputs is NaN or
            infinite.
    """
    made = mistakes.of(contract)
    prepare: list[_Prepare] = [contract.batch, *(_prepare(each, contract) for each in made)]
    answers: list[list[_Values]] = [[] for _ in prepare]
    for start in range(0, len(pictures), BATCH):
        chunk = pictures[start : start + BATCH]
        with ThreadPoolExecutor() as pool:
            chips = list(pool.map(Picture.chip, chunk))

        def staged(function: _Prepare, chips: Sequence[Image] = chips) -> Any:
            return model.stage(function(chips))

        with closing(ahead(staged, prepare)) as ready:
            for batch, found in zip(ready, answers, strict=True):
                values = output_of(model.run(batch).values, output, len(chips))
                found.append(output.answers(values))
        step(start + len(chunk))
    right, *wrong = map(np.concatenate, answers)
    if not np.isfinite(right).all():
        raise UsageError("the network outputs NaN or Inf for faces as its contract wants them")
    truths = None
    if figure is not None:
        truths = np.array([picture.truth for picture in pictures], np.float64)
    reached = _figure(figure, right, truths)
    costs = (
        _cost(mistake, contract, output, right, found, reached, _figure(figure, found, truths))
        for mistake, found in zip(made, wrong, strict=True)
    )
    return Costs(figure, reached, tuple(costs))


def unit_of(output: Output) -> str:
    """The unit of the distances: that of the answers, except for classes, which have none."""
    return "share of other classes" if _is_class(output) else output.unit


def contract_hash(contract: Contract) -> str:
    """SHA-256 of a contract."""
    return hashlib.sha256(canonical_json(unstructure(contract)).encode()).hexdigest()


def _prepare(mistake: Mistake, contract: Contract) -> _Prepare:
    return lambda chips: mistake.inputs(chips, contract)


def _is_class(output: Output) -> bool:
    return output.reading.kind == "argmax"


def _cost(
    mistake: Mistake,
    contract: Contract,
    output: Output,
    right: _Values,
    found: _Values,
    reached: float | None,
    figure: float | None,
) -> Cost:
    distance = (found != right) if _is_class(output) else np.abs(found - right)
    by_face = distance.astype(np.float64).max(axis=1)
    finite = by_face[np.isfinite(by_face)]
    known = len(finite) > 0
    missing = len(by_face) - len(finite)
    return Cost(
        mistake=mistake.name,
        kind=mistake.kind,
        text=mistake.text(contract),
        mean=float(finite.mean()) if known else None,
        p99=float(np.percentile(finite, 99)) if known else None,
        greatest=float(finite.max()) if known else None,
        change=None if figure is None or reached is None or missing else figure - reached,
        not_finite=missing,
    )


def _figure(figure: Figure | None, answers: _Values, truths: _Values | None) -> float | None:
    if figure is None or truths is None:
        return None
    if figure == "accuracy":
        return float(((answers[:, 0] >= 0.5) == (truths == 1)).mean())
    return float(np.abs(answers[:, 0] - truths).mean())
