"""The verb `calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import Stages, emit, json_option, progress, say, screen, show
from agecompact.console.groups import PATH, weights_option
from agecompact.console.models import model_file, named_model
from agecompact.contract import Image
from agecompact.data.face import spread
from agecompact.errors import ConversionError
from agecompact.serialization import unstructure
from export import pipeline
from export import source as sources
from export.int8 import faces as calibration_faces
from export.int8 import record
from export.int8.costs_table import costs_table
from export.int8.source import Faces, from_faces
from export.int8.tries import best_of
from export.int8.twin import UnknownOpError

if TYPE_CHECKING:
    from export.int8.qat import Progress
    from export.int8.record import Record
    from export.source import Source


_OPTION = "--faces"


@click.command()
@click.argument("model")
@weights_option
@click.option(
    _OPTION,
    "folder",
    type=PATH,
    required=True,
    metavar="FOLDER",
    help="Face chips of all ages. 400 calibrate, chosen of 2000 so that their answers are "
    "spread evenly; training sees all.",
)
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Calibrate with N sets of these faces, and keep the best on faces of none of them.",
)
@click.option(
    "--qat-epochs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Then train the weights for int8 on all faces, in N passes. No labels are needed.",
)
@click.option("--out", type=PATH, help="The file to write.  [default: MODEL.int8.safetensors]")
@json_option
def calibrate(
    model: str,
    weights: Path | None,
    folder: Path,
    tries: int,
    qat_epochs: int,
    out: Path | None,
    json_target: str | None,
) -> None:
    """Find out how a network becomes int8, and write that to a calibration file.

    `agecompact export MODEL --precision int8 --calibration FILE` then needs no faces. An export
    with a folder of faces calibrates as well, without training.
    """
    console = screen(json_target)
    paths = calibration_faces.pictures(folder, _OPTION)
    model_id, own = named_model(model)
    naming = "agecompact calibrate {model} --weights {path} --faces FOLDER"
    with (
        model_file(model_id, weights or own, None, console, naming=naming) as path,
        progress(console, model_id, 1 + tries + qat_epochs) as stages,
    ):
        source = sources.read(path)
        target = out or Path(f"{source.model_id}{record.SUFFIX}")
        stages.start(f"{model_id}: converting to TFLite")
        content = pipeline.float_tflite(path)
        stages.done(f"{model_id}: converted to TFLite")
        chosen = spread(paths, calibration_faces.CANDIDATES)
        faces = Faces(calibration_faces.read_chips(chosen, folder, _OPTION))
        try:
            found = _calibrated(tries, content, source, faces, stages)
            # A training that is interrupted leaves this.
            record.write(target, found)
            if qat_epochs:
                chips = calibration_faces.read_chips(paths, folder, _OPTION)
                found = _trained(content, source, found, chips, qat_epochs, stages)
                record.write(target, found)
        except UnknownOpError as unknown:
            raise ConversionError(
                f"{model_id} cannot be compared with its int8",
                why=f"{unknown} is unknown here",
                fix="leave out --tries and --qat-epochs: what follows the op then stays float",
            ) from None
    say(console, *found.notes)
    show(console, costs_table(content, found))
    emit(unstructure(found.header), json_target)
    say(console, f"wrote {target}")


def _calibrated(tries: int, content: bytes, source: Source, faces: Faces, stages: Stages) -> Record:
    """The best of so many calibrations."""
    name = source.model_id

    def step(done: int, of: int) -> None:
        stages.start(f"{name}: calibrated {done} of {of} ops")

    def told(number: int, error: float) -> None:
        stages.done(f"{name}: try {number} of {tries} is off by {error:.2%} of the spread")

    if tries > 1:
        return best_of(tries, content, source, faces, step, told)
    found = from_faces(content, source, faces, step)
    stages.done(f"{name}: calibrated")
    return found


def _trained(
    content: bytes,
    source: Source,
    start: Record,
    chips: Sequence[Image],
    epochs: int,
    stages: Stages,
) -> Record:
    """A calibration whose weights were trained for int8."""
    from export.int8.qat import Settings, train

    def told(epoch: Progress) -> None:
        error = f"{source.model_id}: error on held-out faces {epoch.error:.2%} of the spread"
        if epoch.number:
            stages.done(f"{error} after epoch {epoch.number} of {epochs}")
        else:
            stages.start(f"{error} before training")

    calibration = start.calibration(content)
    made = train(content, calibration, chips, source.contract, Settings(epochs), told)
    described = calibration_faces.calibration_set(chips, epochs)
    return record.of(content, made, replace(start.origin, calibration=described))
