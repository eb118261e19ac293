"""What models say of faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Contract, Output
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import targets_of
from agecompact.evaluation.prediction import output_of

if TYPE_CHECKING:
    from agecompact.runtimes.base import Array


@dataclass(frozen=True)
class Answer:
    """What one output of a model says of a face.

    Attributes:
        output: Name of the output.
        unit: Unit of the values.
        values: The answers.
        label: The class, of an arg-max over labels; else None.
        names: What each value stands for; may be empty.
    """

    output: str
    unit: str
    values: tuple[float, ...]
    label: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a model, or several, say of a face.

    Attributes:
        age_years: The age; None if no model answers it.
        gender_score: 0 female to 1 male; None if no model answers it.
        all: One answer for each output of each model.
    """

    age_years: float | None = None
    gender_score: float | None = None
    all: tuple[Answer, ...] = ()

    def with_answers(self, other: Answers) -> Answers:
        """These and those of another model, whose age and gender count only if these lack them."""
        return Answers(
            self.age_years if self.age_years is not None else other.age_years,
            self.gender_score if self.gender_score is not None else other.gender_score,
            (*self.all, *other.all),
        )

    def __str__(self) -> str:
        return ", ".join(map(_text, self.all))


def answers_of(found: Mapping[str, Array], contract: Contract) -> Answers:
    """The answers for one face.

    Args:
        found: By output name, `(1, ...)`.
        contract: The model's.

    Raises:
        UsageError: An output is missing, has another size, or is NaN or infinite.
    """
    answers = {output.name: _answer(found, output) for output in contract.outputs}
    targets = targets_of(contract)
    age, gender = (
        answers[targets[t].name].values[0] if t in targets else None for t in ("age", "gender")
    )
    return Answers(age, gender, tuple(answers.values()))


def _answer(found: Mapping[str, Array], output: Output) -> Answer:
    values = output_of(found, output, 1)
    if not np.isfinite(values).all():
        wrong = float(values[~np.isfinite(values)][0])
        raise UsageError(
            f"the model outputs {wrong}",
            why="its weights or its arithmetic are broken",
            fix="check it against PyTorch with: agecompact parity",
        )
    answers = tuple(map(float, output.answers(values)[0]))
    label = None
    if output.labels and output.reading.kind == "argmax":
        label = output.labels[int(values[0].argmax())]
    names = output.labels if len(output.labels) == len(answers) else ()
    return Answer(output.name, output.unit, answers, label, names)


def _text(answer: Answer) -> str:
    if answer.label is not None:
        return f"{answer.output} {answer.label}"
    if (answer.output, answer.unit) == ("gender", "score"):
        gender = "male" if answer.values[0] >= 0.5 else "female"
        # SSR-Net's scores go past both ends.
        return f"{gender} ({min(max(answer.values[0], 0), 1):.2f})"
    if answer.unit == "years" and len(answer.values) == 1:
        return f"{answer.values[0]:.1f} years"
    names = answer.names or ("",) * len(answer.values)
    pairs = zip(names, answer.values, strict=True)
    values = ", ".join(f"{name} {value:.3g}".strip() for name, value in pairs)
    return f"{answer.output} {values} {answer.unit}"
