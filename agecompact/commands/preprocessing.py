"""`agecompact preprocessing`: what mistakes in preprocessing cost, in the unit of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.artifacts import manifest
from agecompact.artifacts import preprocessing as stored
from agecompact.console.common import emit, json_option, progress, say, screen, show
from agecompact.console.faces import FaceChoice, Faces, choose, face_options
from agecompact.console.groups import BUILDS, PATH, artifact_option, count_option, weights_option
from agecompact.errors import UsageError
from agecompact.runtimes import registry
from agecompact.serialization import unstructure
from agecompact.weights import cards

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.contract import Output
    from agecompact.evaluation.opening import OpenModel
    from agecompact.evaluation.preprocessing import Costs


@click.command()
@click.argument("model", required=False)
@weights_option
@artifact_option
@click.option(
    "--output",
    metavar="NAME",
    help="Compare the answers of this output; default: the labelled one.",
)
@face_options
@count_option("--threads", "CPU threads of the model.", default=1)
@click.option("--update-card", is_flag=True, help="Write the result into the weights' card too.")
@click.option(
    "--out",
    type=PATH,
    default=BUILDS,
    show_default=True,
    help="Folder of builds. The record is OUT/<model>/preprocessing.json, or beside an artefact "
    "that is in a build.",
)
@json_option
def command(
    model: str | None,
    weights: Path | None,
    artifact: Path | None,
    output: str | None,
    choice: FaceChoice,
    threads: int,
    update_card: bool,
    out: Path,
    json_target: str | None,
) -> None:
    """Measure how far answers move if an app prepares faces wrongly.

    Each face is given to the model as its contract says, and once for every mistake that apps make:
    RGB for BGR, 0..1 for 0..255, another resize filter, a frame that is too tight, and so on. The
    table says how far the answers move, on average, for one face in a hundred, and at most; with
    labels also how much the error grows. A report on the build shows it.
    """
    from agecompact.console.models import model_file
    from agecompact.console.preprocessing_table import sentence, table
    from agecompact.evaluation.evaluate import output_of_contract, target_of_output
    from agecompact.evaluation.opening import open_model
    from agecompact.evaluation.preprocessing import FIGURES, measure

    console = screen(json_target)
    naming = "agecompact preprocessing {model} --weights {path}"
    opening = model_file(model, weights, artifact, console, naming=naming)
    path = click.get_current_context().with_resource(opening)
    registry.runtime_of(path)
    if update_card:
        _check_updatable(path, choice)
    given = weights or path
    with open_model(path, threads) as opened:
        compared = output_of_contract(opened.contract, output)
        target = target_of_output(opened.contract, compared)
        faces = choose(choice, target, console)
        doubts = _doubts(opened, faces)
        if update_card and doubts:
            raise UsageError(
                f"cannot update the card of {given}",
                why=doubts[0],
                fix="select the training split with --split-file, or leave out --update-card",
            )
        figure = FIGURES[target] if target and faces.dataset else None
        with _steps(console, opened.metadata.model, len(faces.pictures)) as step:
            costs = measure(opened.model, opened.contract, compared, faces.pictures, figure, step)
    record = _record(given.name, opened, compared, faces, costs)
    show(console, table(record))
    say(console, sentence(record), *(f"warning: {doubt}" for doubt in doubts))
    emit(unstructure(record), json_target)
    folder = _folder(artifact, out, opened.metadata.model)
    say(console, f"record: {stored.add(folder, opened.metadata.model, record)}")
    if update_card:
        section = {stored.CARD_SECTION: unstructure(record)}
        say(console, f"updated {cards.update(path, section)}")


def _check_updatable(path: Path, choice: FaceChoice) -> None:
    cards.require_card(path)
    if choice.images is not None or choice.part != "test":
        raise UsageError(
            "a card reports figures of the test part",
            fix="name the data set with --data and leave out --split, or leave out --update-card",
        )


def _doubts(opened: OpenModel, faces: Faces) -> tuple[str, ...]:
    if faces.part is None:
        return ()
    return cards.doubts(opened.card, part=faces.part, split_sha256=faces.split_sha256)


@contextmanager
def _steps(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many faces are done, in tenths."""
    shown = 0
    with progress(console, title, 10) as stages:

        def step(done: int) -> None:
            nonlocal shown
            while shown < 10 * done // total:
                shown += 1
                if console.is_terminal or shown % 5 == 0:
                    stages.done(f"{title}: {done:,} of {total:,} faces")
                else:
                    stages.start(title)

        yield step


def _record(
    name: str, opened: OpenModel, output: Output, faces: Faces, costs: Costs
) -> stored.Record:
    import cv2
    import PIL

    from agecompact.evaluation.pictures import hash_of
    from agecompact.evaluation.preprocessing import contract_hash, unit_of

    return stored.Record(
        file=name,
        sha256=opened.sha256,
        weights_sha256=opened.metadata.weights_sha256,
        contract_sha256=contract_hash(opened.contract),
        runtime=opened.runtime,
        versions={"opencv": cv2.__version__, "pillow": PIL.__version__},
        output=output.name,
        unit=unit_of(output),
        dataset=faces.dataset,
        part=faces.part,
        split_sha256=faces.split_sha256,
        faces=len(faces.pictures),
        faces_sha256=hash_of(faces.pictures),
        figure=costs.figure,
        right=costs.right,
        costs=costs.costs,
    )


def _folder(artifact: Path | None, out: Path, model: str) -> Path:
    """The folder of the build that the file belongs to, or would."""
    if artifact is not None and (artifact.parent / manifest.FILE_NAME).is_file():
        return artifact.parent
    # The file may be anyone's; a name that is a path is refused.
    return out / stored.Records(model=model).model
