"""The verb `list`."""

from __future__ import annotations

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.errors import UsageError
from agecompact.files import read_json
from agecompact.models import registry
from agecompact.weights import checkpoints

SCHEMA_VERSION = 1


@click.command()
@click.option("--recipes", is_flag=True, help="List the recipes of `agecompact train` instead.")
@json_option
def command(recipes: bool, json_target: str | None) -> None:
    """List the models with their inputs, published counts and released weights."""
    from rich.table import Table

    if recipes:
        _list_recipes(json_target)
        return
    table = Table()
    for heading in ("id", "model", "parameters", "input", "colour", "answer", "released", "source"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    models = []
    for spec in registry.models():
        contract, counts = spec.contract, spec.counts
        released = _released(spec.id)
        table.add_row(
            spec.id,
            spec.title,
            f"{counts.parameters:,}" if counts else "-",
            f"{len(contract.crops)} x {contract.height}x{contract.width}",
            contract.color_order,
            contract.output.unit,
            released or "no",
            spec.source or "-",
        )
        models.append(
            {
                "id": spec.id,
                "title": spec.title,
                "parameters": counts.parameters if counts else None,
                "folded_parameters": counts.folded_parameters if counts else None,
                "inputs": list(contract.input_names),
                "source": spec.source,
                "released": released,
            }
        )
    screen(json_target).print(table)
    emit({"schema_version": SCHEMA_VERSION, "models": models}, json_target)


def _list_recipes(json_target: str | None) -> None:
    from rich.table import Table

    from agecompact.training import recipe

    table = Table()
    for heading in ("recipe", "model", "epochs", "starts from", "learns from", "source"):
        table.add_column(heading, justify="right" if heading == "epochs" else "left")
    listed = []
    for name in recipe.names():
        one = recipe.load(name)
        taught = "labels, teacher" if one.distillation else "labels"
        table.add_row(name, one.model, str(one.epochs), one.start, taught, one.source)
        listed.append(
            {
                "name": name,
                "model": one.model,
                "epochs": one.epochs,
                "start": one.start,
                "distils": one.distillation is not None,
                "source": one.source,
            }
        )
    screen(json_target).print(table)
    emit({"schema_version": SCHEMA_VERSION, "recipes": listed}, json_target)


def _released(model_id: str) -> str | None:
    """The figure on the released weights' card, or None where none are released."""
    try:
        path = checkpoints.released_path(model_id)
    except UsageError:
        return None
    evaluation = read_json(checkpoints.card_path(path), what="card")["evaluation"]
    if "mae_years" in evaluation:
        return f"MAE {evaluation['mae_years']:.2f} years"
    return f"accuracy {evaluation['accuracy']:.1%}"
