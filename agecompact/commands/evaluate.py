"""`agecompact evaluate`: the error of a weights file on a part of UTKFace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.commands.common import emit, json_option, screen
from agecompact.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from agecompact.data.splits import Part
    from agecompact.metrics import AgeMetrics, GenderMetrics

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="AGECOMPACT_DATA",
    required=True,
    help="The UTKFace folder; by default the environment's AGECOMPACT_DATA.",
)


@click.command()
@click.argument("model", required=False)
@click.option("--weights", type=click.Path(path_type=Path), help="A file, not the released one.")
@data_option
@click.option(
    "--split",
    "part",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
)
@json_option
def command(
    model: str | None, weights: Path | None, data: Path, part: Part, json_target: str | None
) -> None:
    """Measure the released weights of MODEL, or those of --weights, on UTKFace.

    Identical files are resolved and the set is split exactly as for training, so that the test part
    holds no face that released weights were trained on.
    """
    from agecompact import checkpoints
    from agecompact.data import splits, utkface
    from agecompact.evaluation import measure, target_of_contract

    if (model is None) == (weights is None):
        raise UsageError("name either a MODEL or a file with --weights")
    loaded = checkpoints.read(weights or checkpoints.released_path(str(model)))
    survey = utkface.read(data, target_of_contract(loaded.contract))
    split = splits.split(survey.faces)
    metrics, unreadable = measure(loaded.network(), loaded.contract, split.part(part))
    emit(
        {
            "model": loaded.model_id,
            "weights_sha256": loaded.sha256,
            "part": part,
            "split_sha256": split.sha256,
            "unreadable": unreadable,
            **metrics.to_json(),
        },
        json_target,
    )
    screen(json_target).print(metrics_table(f"{loaded.model_id}, {part} part", metrics))


def metrics_table(title: str, metrics: AgeMetrics | GenderMetrics) -> Table:
    """The metrics for people."""
    from rich.table import Table

    from agecompact.metrics import AgeMetrics

    table = Table("metric", "value", title=title)
    table.add_row("faces", str(metrics.n))
    if not isinstance(metrics, AgeMetrics):
        table.add_row("accuracy", f"{metrics.accuracy:.4f}")
        table.add_row("accuracy, women", f"{metrics.accuracy_female:.4f}")
        table.add_row("accuracy, men", f"{metrics.accuracy_male:.4f}")
        table.add_row("answering one gender always", f"{metrics.majority_accuracy:.4f}")
        return table
    table.add_row("MAE", f"{metrics.mae_years:.3f} years")
    table.add_row("RMSE", f"{metrics.rmse_years:.3f} years")
    for years, fraction in metrics.ca.items():
        table.add_row(f"CA({years})", f"{fraction:.4f}")
    table.add_row("spread of answers", f"{metrics.prediction_std_years:.3f} years")
    table.add_row("MAE of answering the median", f"{metrics.median_mae_years:.3f} years")
    for start, decade in metrics.decades.items():
        table.add_row(f"MAE at {start}-{start + 9}", f"{decade.mae_years:.3f} years, n {decade.n}")
    return table
