"""The options that choose faces with labels or without, and the faces that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from agecompact.console.datasets import (
    DataChoice,
    cache_option,
    framing_option,
    layout_option,
    part_of,
)
from agecompact.console.groups import PATH, count_option, grouped_options
from agecompact.data.face import Target, spread
from agecompact.data.splits import PARTS
from agecompact.errors import UsageError
from agecompact.faces.files import images_in

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.chips import FramingChoice
    from agecompact.data.splits import Part
    from agecompact.evaluation.pictures import Picture


@dataclass(frozen=True)
class FaceChoice:
    """The values of the options.

    Attributes:
        data: Folder of a labelled data set, or its table; None for `images`.
        dataset: Key of `registry.DATASETS`.
        framing: How its pictures become chips; None for what fits it.
        split_file: A split file to use instead of the data set's first protocol.
        part: The part of the split.
        cache: Folder of what is kept of its pictures; None for the user's own.
        images: Folder of face chips without labels; None for `data`.
        limit: Most faces.
    """

    data: Path | None
    dataset: str
    framing: FramingChoice | None
    split_file: Path | None
    part: Part | Literal["all"]
    cache: Path | None
    images: Path | None
    limit: int


@dataclass(frozen=True)
class Faces:
    """The faces.

    Attributes:
        pictures: The faces.
        dataset: Id of the data set; None for a folder of face chips.
        part: The part of its split, likewise.
        split_sha256: Hash of the split, likewise, and for the whole of a data set with several
            folds.
    """

    pictures: tuple[Picture, ...]
    dataset: str | None = None
    part: str | None = None
    split_sha256: str | None = None


def _one_source(context: click.Context, _: click.Parameter, images: Path | None) -> Path | None:
    """Refuses `--images` beside `--data`; one of the environment gives way."""
    named = context.get_parameter_source("data") is ParameterSource.COMMANDLINE
    if images is not None and named:
        raise UsageError(
            "faces are those of --data or those of --images", fix="leave out one of the two"
        )
    return images


face_options = grouped_options(
    FaceChoice,
    "choice",
    (
        click.option(
            "--data",
            type=PATH,
            envvar="AGECOMPACT_DATA",
            metavar="PATH",
            is_eager=True,
            help="Folder of a labelled data set, or the table of csv and jsonl; default: the "
            "environment variable AGECOMPACT_DATA.",
        ),
        layout_option,
        framing_option,
        click.option("--split-file", type=PATH, help="A split written by `agecompact data split`."),
        click.option(
            "--split",
            "part",
            type=click.Choice([*PARTS, "all"]),
            default="test",
            show_default=True,
            help="Part of the split to measure on.",
        ),
        cache_option,
        click.option(
            "--images",
            type=PATH,
            metavar="DIR",
            callback=_one_source,
            help="Measure on the face chips of this folder, which need no labels; the change of "
            "the MAE is then not known.",
        ),
        count_option("--limit", "Use N faces at most, spread over the part.", default=1000),
    ),
)


def choose(choice: FaceChoice, target: Target | None, console: Console) -> Faces:
    """The faces that the options mean.

    Args:
        choice: The options' values.
        target: The label that a face of a data set needs; None if there is none for the output.
        console: Where to show progress.

    Raises:
        UsageError: None are named, or they cannot be read, or they lack the label.
    """
    from agecompact.evaluation.pictures import labelled, unlabelled

    if choice.images is not None:
        paths = spread(images_in(choice.images, "--images"), choice.limit)
        return Faces(unlabelled(paths))
    if choice.data is None:
        raise UsageError(
            "no faces are named",
            fix="name a labelled data set with --data, or a folder of face chips with --images",
        )
    if target is None:
        raise UsageError(
            "faces of a data set have no label for this output",
            fix="measure it on face chips without labels: --images",
        )
    data = DataChoice(
        choice.dataset,
        choice.data,
        split_file=choice.split_file,
        cache=choice.cache,
        framing=choice.framing,
    )
    faces, split_sha256 = part_of(data, choice.part, target, console)
    pictures = labelled(spread(faces, choice.limit), target)
    return Faces(pictures, choice.dataset, choice.part, split_sha256)
