"""The options that choose the faces, and the faces that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.datasets import (
    DataChoice,
    cache_option,
    framing_option,
    layout_option,
    load,
    require_parts,
)
from agecompact.console.groups import PATH, count_option, grouped_options
from agecompact.contract import Contract
from agecompact.data.face import spread
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import (
    output_of_contract,
    target_of_contract,
    target_of_output,
    targets_of,
)
from agecompact.evaluation.pictures import Picture, labelled, unlabelled
from agecompact.faces.files import images_in
from agecompact.outputs import Output

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.chips import FramingChoice


@dataclass(frozen=True)
class FaceChoice:
    """The values of the options.

    Attributes:
        data: Folder of a labelled data set, or its table.
        dataset: Key of `registry.DATASETS`.
        framing: How its pictures become chips; None for what fits it.
        cache: Folder of what is kept of its pictures; None for the user's own.
        images: Folder of face chips without labels.
        limit: Most faces; None for all.
    """

    data: Path | None
    dataset: str
    framing: FramingChoice | None
    cache: Path | None
    images: Path | None
    limit: int | None


@dataclass(frozen=True)
class Judged:
    """What candidates are judged by.

    Attributes:
        output: The output whose answers are compared.
        pictures: The faces.
        description: The faces, in words.
    """

    output: Output
    pictures: tuple[Picture, ...]
    description: str


face_options = grouped_options(
    FaceChoice,
    "choice",
    (
        click.option(
            "--data",
            type=PATH,
            metavar="PATH",
            help="Judge on the validation part of this labelled data set, a folder or the table of "
            "csv and jsonl. Its test part is left for the final figures.",
        ),
        layout_option,
        framing_option,
        cache_option,
        click.option(
            "--images",
            type=PATH,
            metavar="DIR",
            help="Judge on the face chips of this folder, which need no labels; the MAE is then "
            "not known.",
        ),
        count_option("--limit", "Number of faces; default: all."),
    ),
)


def judged(
    choice: FaceChoice,
    contract: Contract,
    name: str | None,
    console: Console,
    most: int | None = None,
) -> Judged:
    """The faces and the output that candidates are judged by.

    Args:
        choice: The options' values.
        contract: Contract of the network.
        name: Name of the output; None for the labelled one, or the first.
        console: Where to show progress.
        most: Most faces, if `--limit` asks for more or for all.

    Raises:
        UsageError: Not exactly one of `--data` and `--images` is given, there is no such output,
            or the faces cannot be read.
    """
    if (choice.data is None) == (choice.images is None):
        raise UsageError(
            "candidates are judged on faces, of --data or of --images",
            why="both are given" if choice.data else "neither is given",
            fix="name a labelled data set with --data, or a folder of face chips with --images",
        )
    limit = min((each for each in (choice.limit, most) if each is not None), default=None)
    output = output_of_contract(contract, name)
    if choice.data is None:
        assert choice.images is not None
        paths = tuple(spread(images_in(choice.images, "--images"), limit))
        pictures = unlabelled(paths)
        return Judged(output, pictures, f"{len(pictures):,} faces without labels")
    target = target_of_output(contract, output)
    if target is None and name is None:
        target = target_of_contract(contract)
    if target is None:
        raise UsageError(
            f"faces have no label for the output '{output.name}'",
            fix="judge it on faces without labels: --images",
        )
    data = DataChoice(choice.dataset, choice.data, cache=choice.cache, framing=choice.framing)
    _, split = load(data, target, console)
    require_parts(split, ("val",))
    pictures = labelled(spread(split.val, limit), target)
    description = f"{len(pictures):,} faces of the validation part of {choice.dataset}"
    return Judged(targets_of(contract)[target], pictures, description)
