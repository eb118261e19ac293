"""The verb `predict`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from agecompact.console.common import emit, json_option, screen
from agecompact.contract import Image, Unit
from agecompact.errors import ExitCode, UsageError
from agecompact.faces import detection
from agecompact.runtimes import registry as runtimes
from agecompact.runtimes.base import Session
from agecompact.weights import checkpoints

# Of the released weights those with the least error.
_DEFAULT_MODEL = "c3ae"


@dataclass(frozen=True)
class Prediction:
    """One face, one answer.

    Attributes:
        image: The image file, as it was named.
        box: x, y, width, height of the face in pixels; None for a ready crop.
        age_years: The age; None from a model that tells something else.
        gender_score: 0 female .. 1 male; None from an age model.
    """

    image: str
    box: tuple[int, int, int, int] | None
    age_years: float | None
    gender_score: float | None


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", help=f"A model with released weights; {_DEFAULT_MODEL} if not given.")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights to run, in PyTorch.")
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="An exported file to run, by the contract inside it.",
)
@click.option("--no-detect", is_flag=True, help="Take each image as a ready face crop.")
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
    """Tell the age of the faces in images.

    Every face that OpenCV's cascade finds is told, the largest first. An image that cannot be read,
    or shows no face, is reported; the others are told all the same, and the exit code is 2.
    """
    path = _source(model, weights, artifact)
    contract = runtimes.read_metadata(path).contract
    session = runtimes.load(runtimes.runtime_of(path)).open_session(str(path), 1)
    console = screen(json_target)
    predictions: list[Prediction] = []
    failures = 0
    for image in images:
        try:
            for box, chip in _chips(image, no_detect):
                answer = _answer(session, contract.apply(chip), contract.output.name)
                told = _prediction(image, box, answer, contract.output.unit)
                predictions.append(told)
                console.print(_line(told))
        except UsageError as error:
            failures += 1
            click.echo(f"error: {error}", err=True)
    emit([asdict(told) for told in predictions], json_target)
    if failures:
        context.exit(ExitCode.USAGE)


def _source(model: str | None, weights: Path | None, artifact: Path | None) -> Path:
    if sum(given is not None for given in (model, weights, artifact)) > 1:
        raise UsageError("give one of --model, --weights and --artifact")
    path = weights or artifact
    if path is None:
        return checkpoints.released_path(model or _DEFAULT_MODEL)
    if weights is not None and path.suffix != ".safetensors":
        raise UsageError(f"{path} is no weights file", fix=f"--artifact {path}")
    return path


def _chips(path: Path, ready: bool) -> list[tuple[detection.FaceBox | None, Image]]:
    image = detection.read_image(path)
    if ready:
        return [(None, image)]
    boxes = detection.detect(image)
    if not boxes:
        raise UsageError(
            f"no face found in {path}",
            why="the cascade finds upright, frontal faces",
            fix="for a ready face crop, add --no-detect",
        )
    return [(box, detection.chip(image, box)) for box in boxes]


def _answer(session: Session, inputs: dict[str, np.ndarray], output: str) -> float:
    return float(np.asarray(session.infer(inputs)[output]).reshape(-1)[0])


def _prediction(
    image: Path, box: detection.FaceBox | None, answer: float, unit: Unit
) -> Prediction:
    return Prediction(
        image=str(image),
        box=(box.x, box.y, box.width, box.height) if box else None,
        age_years=answer if unit == "years" else None,
        gender_score=answer if unit == "score" else None,
    )


def _line(told: Prediction) -> str:
    where = f" at {told.box[0]},{told.box[1]} {told.box[2]}x{told.box[3]}" if told.box else ""
    if told.age_years is not None:
        return f"{told.image}{where}: {told.age_years:.1f} years"
    assert told.gender_score is not None
    named = "male" if told.gender_score >= 0.5 else "female"
    return f"{told.image}{where}: {named} ({told.gender_score:.2f})"
