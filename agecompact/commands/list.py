"""`agecompact list`: the models and recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from agecompact.console.common import emit, json_option, screen, show
from agecompact.errors import UsageError
from agecompact.files import read_json
from agecompact.models import registry
from agecompact.tables import Column, Table
from agecompact.weights import checkpoints

SCHEMA_VERSION = 1


@click.command()
@click.option("--recipes", is_flag=True, help="List the recipes of `agecompact train` instead.")
@json_option
def command(recipes: bool, json_target: str | None) -> None:
    """List the models with their inputs, trainable parameters and released weights."""
    if recipes:
        _list_recipes(json_target)
        return
    rows, models = [], []
    for spec in registry.models():
        counts, card = spec.counts, _card(spec.id)
        contract = spec.contract_of(card["config"] if card else spec.config)
        released = _figure(card["evaluation"]) if card else None
        rows.append(
            (
                spec.id,
                spec.title,
                _count(counts.parameters if counts else None),
                f"{len(contract.crops)} x {contract.height}x{contract.width}",
                contract.color_order,
                ", ".join(output.unit for output in contract.outputs),
                released or "-",
                spec.source or "-",
            )
        )
        models.append(
            {
                "id": spec.id,
                "title": spec.title,
                "parameters": counts.parameters if counts else None,
                "bn_statistics": counts.bn_statistics if counts else None,
                "folded_parameters": counts.folded_parameters if counts else None,
                "inputs": list(contract.input_names),
                "source": spec.source,
                "released": released,
            }
        )
    columns = (
        Column("id", "name"),
        Column("model", "name", rank=2),
        Column("parameters", "number"),
        Column("input", "name"),
        Column("colour", "name", rank=2),
        Column("output", "name", rank=1),
        Column("released weights", "name"),
        Column("source", rank=3),
    )
    show(screen(json_target), Table(columns, tuple(rows)))
    emit({"schema_version": SCHEMA_VERSION, "models": models}, json_target)


def _list_recipes(json_target: str | None) -> None:
    from agecompact.training import recipe

    rows, listed = [], []
    for name in recipe.names():
        one = recipe.load(name)
        learns_from = "labels, teacher" if one.distillation else "labels"
        rows.append((name, one.model, str(one.epochs), one.start, learns_from, one.source))
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
    columns = (
        Column("recipe", "name"),
        Column("model", "name"),
        Column("epochs", "number"),
        Column("starts from", "name", rank=1),
        Column("learns from", "name", rank=2),
        Column("source", rank=3),
    )
    show(screen(json_target), Table(columns, tuple(rows)))
    emit({"schema_version": SCHEMA_VERSION, "recipes": listed}, json_target)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _card(model_id: str) -> Mapping[str, Any] | None:
    """The card of the released weights; None if there are none."""
    try:
        path = checkpoints.released_path(model_id)
    except UsageError:
        return None
    return read_json(checkpoints.card_path(path), what="card")


def _figure(evaluation: Mapping[str, Any]) -> str:
    if "mae_years" in evaluation:
        return f"MAE {evaluation['mae_years']:.2f} years"
    return f"accuracy {evaluation['accuracy']:.1%}"
