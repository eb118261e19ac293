"""`agecompact predict`: the age of faces in images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from agecompact.console.common import complain, emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.console.models import model_file
from agecompact.contract import Contract, Image, Output
from agecompact.errors import ExitCode, UsageError
from agecompact.evaluation.evaluate import targets_of
from agecompact.evaluation.prediction import output_of
from agecompact.runtimes.base import Array
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess

if TYPE_CHECKING:
    from agecompact.data.face import Target
    from agecompact.faces.detection import FaceBox

# The most accurate released model.
_DEFAULT_MODEL = "mobileagenet"


@dataclass(frozen=True)
class Answer:
    """What one output of a model says of a face.

    Attributes:
        output: Name of the output.
        unit: Unit of the values.
        values: The answers.
        label: The class, of an arg-max over labels; else None.
    """

    output: str
    unit: str
    values: tuple[float, ...]
    label: str | None


@dataclass(frozen=True)
class Prediction:
    """The prediction for a face.

    Attributes:
        image: The image file, as given.
        box: x, y, width and height of the face in pixels; None for a ready crop.
        age_years: The age; None from a model that does not answer it.
        gender_score: 0 female to 1 male; None from a model that does not answer it.
        answers: All answers, one for each output.
    """

    image: str
    box: tuple[int, int, int, int] | None
    age_years: float | None
    gender_score: float | None
    answers: tuple[Answer, ...]


@click.command()
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option(
    "--model",
    metavar="ID",
    help=f"A model with released weights; default: {_DEFAULT_MODEL}, the most accurate one.",
)
@click.option("--weights", type=PATH, help="A weights file, or a state dict of the model.")
@click.option("--artifact", type=PATH, help="An exported file; its embedded contract is used.")
@click.option("--no-detect", is_flag=True, help="Treat each image as a ready face crop.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    images: tuple[Path, ...],
    model: str | None,
    weights: Path | None,
    artifact: Path | None,
    no_detect: bool,
    json_target: str | None,
) -> None:
    """Predict ages of faces in images.

    Prints every face that OpenCV's cascade detects, the largest first. An image that cannot be
    read, or has no face, is reported; the others are still processed, and the exit code is 2.
    """
    console = screen(json_target)
    opening = model_file(
        model,
        weights,
        artifact,
        console,
        naming=f"agecompact predict {images[0]} --model {{model}} --weights {{path}}",
        default=_DEFAULT_MODEL,
    )
    path = context.with_resource(opening)
    predictions: list[Prediction] = []
    failures = 0
    with _opened(path) as (contract, run):
        for image in images:
            try:
                for box, chip in _chips(image, no_detect):
                    prediction = _prediction(image, box, contract, run(chip))
                    predictions.append(prediction)
                    say(console, _line(prediction, contract))
            except UsageError as error:
                failures += 1
                complain(error)
    emit([asdict(prediction) for prediction in predictions], json_target)
    if failures:
        context.exit(ExitCode.USAGE)


def _chips(path: Path, ready: bool) -> list[tuple[FaceBox | None, Image]]:
    from agecompact.faces import detection
    from agecompact.faces.files import read_image

    image = read_image(path)
    if ready:
        return [(None, image)]
    boxes = detection.detect(image)
    if not boxes:
        raise UsageError(
            f"no face found in {path}",
            why="the detector finds upright, frontal faces only",
            fix="for a ready face crop, add --no-detect",
        )
    return [(box, detection.chip(image, box)) for box in boxes]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Contract, Callable[[Image], tuple[Answer, ...]]]]:
    """Opens a model file in its own process: its contract, and its answers for a face chip."""
    with RuntimeProcess(path) as process:
        # It takes as long as the start of that process, and goes on meanwhile.
        import_module("agecompact.faces.detection")
        try:
            contract = process.metadata().contract
            process.open()
        except RuntimeFailure as failure:
            raise failure.as_error(path) from None

        def run(chip: Image) -> tuple[Answer, ...]:
            inputs = {name: x[np.newaxis] for name, x in contract.apply(chip).items()}
            try:
                outputs = process.infer(inputs)
            except RuntimeFailure as failure:
                raise failure.as_error(path) from None
            return tuple(_answer(outputs, output) for output in contract.outputs)

        yield contract, run


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
    classes = output.labels and output.reading.kind == "argmax"
    label = output.labels[int(values[0].argmax())] if classes else None
    return Answer(output.name, output.unit, answers, label)


def _prediction(
    image: Path, box: FaceBox | None, contract: Contract, answers: tuple[Answer, ...]
) -> Prediction:
    targets = targets_of(contract)
    values = {answer.output: answer.values[0] for answer in answers}

    def value(target: Target) -> float | None:
        return values[targets[target].name] if target in targets else None

    return Prediction(
        image=str(image),
        box=(box.x, box.y, box.width, box.height) if box else None,
        age_years=value("age"),
        gender_score=value("gender"),
        answers=answers,
    )


def _line(prediction: Prediction, contract: Contract) -> str:
    where = ""
    if prediction.box:
        x, y, width, height = prediction.box
        where = f" at {x},{y} {width}x{height}"
    pairs = zip(prediction.answers, contract.outputs, strict=True)
    return f"{prediction.image}{where}: {', '.join(_text(*pair) for pair in pairs)}"


def _text(answer: Answer, output: Output) -> str:
    if answer.label is not None:
        return f"{answer.output} {answer.label}"
    if (answer.output, answer.unit) == ("gender", "score"):
        gender = "male" if answer.values[0] >= 0.5 else "female"
        return f"{gender} ({answer.values[0]:.2f})"
    if answer.unit == "years" and len(answer.values) == 1:
        return f"{answer.values[0]:.1f} years"
    labels = output.labels if len(output.labels) == len(answer.values) else ()
    names = labels or ("",) * len(answer.values)
    values = [
        f"{name} {value:.3g}".strip() for name, value in zip(names, answer.values, strict=True)
    ]
    return f"{answer.output} {', '.join(values)} {answer.unit}"
