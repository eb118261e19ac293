"""`agecompact predict`: the ages of faces in pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import (
    STDOUT,
    complain,
    emit,
    emit_line,
    json_option,
    progress,
    say,
    screen,
    warn,
)
from agecompact.console.groups import PATH, count_option, grouped_options
from agecompact.console.models import model_file
from agecompact.errors import AgecompactError, ExitCode, GateError, UsageError
from agecompact.faces.detection import DETECTORS, detector, fallback_note
from agecompact.faces.placement import placement
from agecompact.files import make_folder
from agecompact.models import project
from agecompact.predict.drawing import Folder
from agecompact.predict.load import DEFAULT_MODELS, released_file
from agecompact.predict.predictor import Predictor
from agecompact.predict.results import Result
from agecompact.predict.sources import Named, Picture, Sampling, count, files, pictures

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 2
# Pictures that need no progress bar, and names in an error.
_FEW = 4
_UNFRAMED = "the age may be off by years; without --no-detect the face is found and framed"


@dataclass(frozen=True)
class Models:
    """The values of the options that choose the models.

    Attributes:
        names: Models with released weights, or project files.
        weights: A weights file, or a state dict of the only model named.
        artifacts: Exported files.
    """

    names: tuple[str, ...]
    weights: Path | None
    artifacts: tuple[Path, ...]


@dataclass(frozen=True)
class Looking:
    """The values of the options that say how to look at pictures.

    Attributes:
        no_detect: Each picture is a ready face chip.
        detector: Name of the detector; None for the best one that is installed.
        every: Seconds between frames of a video.
        limit: Most frames of each video or camera; None for all.
        cameras: Numbers of cameras.
    """

    no_detect: bool
    detector: str | None
    every: float
    limit: int | None
    cameras: tuple[int, ...]


_model_options = grouped_options(
    Models,
    "models",
    (
        click.option(
            "--model",
            "names",
            multiple=True,
            metavar="ID",
            help="A model with released weights, or a project file; repeatable. Default: "
            f"{DEFAULT_MODELS[0]}, the most accurate one, and {DEFAULT_MODELS[1]}.",
        ),
        click.option("--weights", type=PATH, help="A weights file, or a state dict of the model."),
        click.option(
            "--artifact",
            "artifacts",
            type=PATH,
            multiple=True,
            help="An exported file; its embedded contract is used. Repeatable.",
        ),
    ),
)
_looking_options = grouped_options(
    Looking,
    "looking",
    (
        click.option("--no-detect", is_flag=True, help="Treat each picture as a ready face chip."),
        click.option(
            "--detector",
            type=click.Choice(list(DETECTORS)),
            help="Default: the first of them that is installed.",
        ),
        click.option(
            "--source",
            "cameras",
            type=click.IntRange(0),
            multiple=True,
            metavar="N",
            help="A camera: 0 is the first. Ctrl-C ends it.",
        ),
        click.option(
            "--every",
            type=click.FloatRange(0),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="Look at one frame of a video or camera in this time; 0 for each one.",
        ),
        count_option("--limit", "Most frames of each video or camera."),
    ),
)


@click.command()
@click.argument("images", nargs=-1)
@_model_options
@_looking_options
@click.option(
    "--save", type=PATH, metavar="DIR", help="Save pictures with boxes and ages drawn in."
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a picture has no face.")
@click.option(
    "--jsonl",
    "as_lines",
    is_flag=True,
    help="Print a line of JSON for each picture as it comes, and nothing else.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    images: tuple[str, ...],
    models: Models,
    looking: Looking,
    save: Path | None,
    strict: bool,
    as_lines: bool,
    json_target: str | None,
) -> None:
    """Predict ages of faces in pictures.

    IMAGES are image files, videos, folders with the folders inside, patterns such as 'in/*.jpg', or
    '-' for an image on standard input. Every face is printed, the largest first. A picture without
    a face is a result. One that cannot be read is reported; the others are still processed, and the
    exit code is 2.
    """
    if not images and not looking.cameras:
        raise UsageError("no picture named", fix="agecompact predict photo.jpg, or --source 0")
    if as_lines and json_target == STDOUT:
        raise UsageError("--jsonl and --json - both need standard output", fix="choose one of them")
    console = screen(STDOUT if as_lines else json_target)
    if not looking.no_detect and (note := fallback_note(looking.detector)):
        warn(note)
    results: list[Result] = []
    with ExitStack() as stack:
        folder = Folder(make_folder(save)) if save else None
        paths = [stack.enter_context(each) for each in _model_files(models, images, console)]
        finder = None if looking.no_detect else detector(looking.detector)
        predictor = stack.enter_context(Predictor(paths, finder))
        named = files(images)
        advance = stack.enter_context(_bar(console, named, looking))
        started = time.monotonic()
        for picture in pictures(named, Sampling(looking.every, looking.limit), looking.cameras):
            result = _looked_at(picture, predictor, looking)
            _tell(result, console, as_lines=as_lines)
            if folder and not isinstance(picture.pixels, AgecompactError):
                folder.add(picture.name, picture.pixels, result.faces)
            results.append(result.without_pixels())
            advance(picture.name)
        elapsed_s = time.monotonic() - started
    if len(results) > 1:
        say(console, _summary(results, elapsed_s))
    found = [each.as_json() for each in results]
    emit({"schema_version": SCHEMA_VERSION, "images": found}, json_target)
    if any(each.error for each in results):
        context.exit(ExitCode.USAGE)
    faceless = [each for each in results if not each.faces]
    if strict and faceless:
        raise GateError(
            f"{len(faceless)} of {len(results)} pictures have no face",
            why=", ".join(each.title for each in faceless[:_FEW]),
        )


def _model_files(
    models: Models, images: Sequence[str], console: Console
) -> Iterator[AbstractContextManager[Path]]:
    """The files to run; each exists during its block."""
    shown = next(iter(images), "photo.jpg")
    naming = f"agecompact predict {shown} --model {{model}} --weights {{path}}"
    names: Sequence[str | None] = models.names
    if models.weights and len(names) > 1:
        raise UsageError("--weights are of one model", fix="name one model, or none")
    if not names and models.weights is None and not models.artifacts:
        names = DEFAULT_MODELS
    if not names and models.weights:
        names = [None]
    for name in names:
        if name is None or models.weights or project.is_project(name):
            yield model_file(name, models.weights, None, console, naming=naming)
        else:
            yield nullcontext(released_file(name))
    yield from map(nullcontext, models.artifacts)


def _looked_at(picture: Picture, predictor: Predictor, looking: Looking) -> Result:
    """What the models say of a picture."""
    image = picture.pixels
    if isinstance(image, AgecompactError):
        return Result(picture, error=image)
    try:
        if not looking.no_detect:
            return Result(picture, predictor.predict(image))
        if placement(image) != "in_place":
            warn(f"{picture.name} is not framed as a face chip: {_UNFRAMED}")
        return Result(picture, (predictor.predict_chip(image),))
    except UsageError as error:
        return Result(picture, error=error)


def _tell(result: Result, console: Console, *, as_lines: bool) -> None:
    """Prints what became of a picture."""
    if result.error:
        complain(result.error)
    if as_lines:
        emit_line(result.as_json())
    elif not result.error:
        say(console, *result.lines())


@contextmanager
def _bar(
    console: Console, named: Sequence[Named], looking: Looking
) -> Iterator[Callable[[str], None]]:
    """Shows progress on a terminal, if there are several pictures and their number is known."""
    total = None if looking.cameras else count(named)
    if not console.is_terminal or total is None or total < _FEW:
        yield lambda name: None  # noqa: ARG005
        return
    with progress(console, "predict", total) as stages:
        yield stages.done


def _summary(results: Sequence[Result], elapsed_s: float) -> str:
    """How many pictures of which kind, and how fast."""
    failed = sum(each.error is not None for each in results)
    faceless = sum(not each.faces and each.error is None for each in results)
    faces = sum(len(each.faces) for each in results)
    return (
        f"{len(results)} pictures, {faces} faces; {faceless} without a face, {failed} not read; "
        f"{len(results) / elapsed_s:.1f} pictures a second"
    )
