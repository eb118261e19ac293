"""`agecompact predict`: the age of faces in images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from agecompact.console.common import complain, emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.console.models import model_file
from agecompact.contract import Contract, Image, Unit
from agecompact.errors import ExitCode, UsageError
from agecompact.faces import detection
from agecompact.faces.files import read_image
from agecompact.runtimes.base import Array
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess

# The most accurate released model.
_DEFAULT_MODEL = "mobileagenet"


@dataclass(frozen=True)
class Prediction:
    """The prediction for a face.

    Attributes:
        image: The image file, as given.
        box: x, y, width and height of the face in pixels; None for a ready crop.
        age_years: The age; None from a gender model.
        gender_score: 0 female to 1 male; None from an age model.
    """

    image: str
    box: tuple[int, int, int, int] | None
    age_years: float | None
    gender_score: float | None


@click.command()
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option(
    "--model",
    metavar="ID",
    help=f"A model with released weights; default: {_DEFAULT_MODEL}, the most accurate one.",
)
@click.option("--weights", type=PATH, help="A weights file, run by PyTorch.")
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
    path = model_file(model, weights, artifact, default=_DEFAULT_MODEL)
    console = screen(json_target)
    predictions: list[Prediction] = []
    failures = 0
    with _opened(path) as (contract, age):
        for image in images:
            try:
                for box, chip in _chips(image, no_detect):
                    prediction = _prediction(image, box, age(chip), contract.output.unit)
                    predictions.append(prediction)
                    say(console, _line(prediction))
            except UsageError as error:
                failures += 1
                complain(error)
    emit([asdict(prediction) for prediction in predictions], json_target)
    if failures:
        context.exit(ExitCode.USAGE)


def _chips(path: Path, ready: bool) -> list[tuple[detection.FaceBox | None, Image]]:
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
def _opened(path: Path) -> Iterator[tuple[Contract, Callable[[Image], float]]]:
    """Opens a model file in its own process: its contract, and its output for a face chip."""
    with RuntimeProcess(path) as process:
        try:
            contract = process.metadata().contract
            process.open()
        except RuntimeFailure as failure:
            raise failure.as_error(path) from None

        def run(chip: Image) -> float:
            inputs = {name: x[np.newaxis] for name, x in contract.apply(chip).items()}
            try:
                outputs = process.infer(inputs)
            except RuntimeFailure as failure:
                raise failure.as_error(path) from None
            return _value(outputs, contract.output.name)

        yield contract, run


def _value(outputs: Mapping[str, Array], name: str) -> float:
    values = outputs.get(name, np.empty(0)).reshape(-1)
    if values.size != 1:
        raise UsageError(
            f"the model outputs {values.size} values as '{name}'",
            why=f"its contract names one value; the file has {', '.join(sorted(outputs))}",
            fix="export it again",
        )
    value = float(values[0])
    if not math.isfinite(value):
        raise UsageError(
            f"the model outputs {value}",
            why="its weights or its arithmetic are broken",
            fix="check it against PyTorch with: agecompact parity",
        )
    return value


def _prediction(image: Path, box: detection.FaceBox | None, value: float, unit: Unit) -> Prediction:
    return Prediction(
        image=str(image),
        box=(box.x, box.y, box.width, box.height) if box else None,
        age_years=value if unit == "years" else None,
        gender_score=value if unit == "score" else None,
    )


def _line(prediction: Prediction) -> str:
    where = ""
    if prediction.box:
        x, y, width, height = prediction.box
        where = f" at {x},{y} {width}x{height}"
    if prediction.age_years is not None:
        return f"{prediction.image}{where}: {prediction.age_years:.1f} years"
    assert prediction.gender_score is not None
    gender = "male" if prediction.gender_score >= 0.5 else "female"
    return f"{prediction.image}{where}: {gender} ({prediction.gender_score:.2f})"
