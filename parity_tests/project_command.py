"""The verb `check`."""

from __future__ import annotations

from pathlib import Path

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.groups import PATH
from agecompact.console.models import model_file
from agecompact.faces.files import images_in
from agecompact.tables import Column, Table
from parity_tests.project_check import CheckedOutput, check_weights, refuse

_COLUMNS = (
    Column("output", "name"),
    Column("answers", "number"),
    Column("lowest", "number"),
    Column("mean", "number"),
    Column("highest", "number"),
    Column("unit", "name"),
)


@click.command()
@click.argument("model")
@click.option("--weights", type=PATH, help="Weights of MODEL, instead of its own.")
@click.option("--images", type=PATH, metavar="DIR", help="Also run the face chips of this folder.")
@json_option
def check(model: str, weights: Path | None, images: Path | None, json_target: str | None) -> None:
    """Run the network of a project file once, and say what is wrong.

    MODEL is a project file, or the name of a model. The network is built, its weights are loaded,
    and it runs on faces: inputs, outputs, NaN, and answers that do not vary over faces are found in
    seconds, before any converter starts.
    """
    console = screen(json_target)
    naming = "agecompact check {model} --weights {path}"
    path = click.get_current_context().with_resource(
        model_file(model, weights, None, console, naming=naming)
    )
    checked = check_weights(path, images_in(images, "--images") if images else ())
    emit([_record(each) for each in checked], json_target)
    faces = len(checked[0].answers)
    rows = tuple(row for each in checked for row in _rows(each))
    show(console, Table(_COLUMNS, rows, title=f"Answers for {faces} faces"))
    refuse(checked)
    say(console, f"{model}: nothing is wrong; next: agecompact export {model}")


def _rows(checked: CheckedOutput) -> list[tuple[str, ...]]:
    output = checked.output
    labels = output.labels if len(output.labels) == checked.answers.shape[1] else ()
    names = labels or ("",) * checked.answers.shape[1]
    return [
        (
            f"{output.name} {name}".strip(),
            output.reading.kind,
            *(f"{value:.4g}" for value in (column.min(), column.mean(), column.max())),
            output.unit,
        )
        for name, column in zip(names, checked.answers.T, strict=True)
    ]


def _record(checked: CheckedOutput) -> dict[str, object]:
    return {
        "output": checked.output.name,
        "unit": checked.output.unit,
        "answers": checked.answers.tolist(),
        "faults": list(checked.faults),
    }
