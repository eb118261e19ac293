"""`agecompact weights`: converts public Keras weights to weights files."""

from __future__ import annotations

from pathlib import Path

import click

from agecompact.console.common import emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.imports import import_extra
from agecompact.weights.importers import FAMILIES


@click.group()
def command() -> None:
    """Convert public Keras weights."""


@command.command("import")
@click.argument("file", type=PATH)
@click.option(
    "--model",
    "family",
    type=click.Choice(list(FAMILIES)),
    required=True,
    help="Network in the file.",
)
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Weights file to write, *.safetensors; its card is written beside it as *.json.",
)
@json_option
def import_(file: Path, family: str, out: Path, json_target: str | None) -> None:
    """Convert a public Keras file of SSR-Net (age, gender) or C3AE."""
    import_extra("h5py", "train")
    from agecompact.models import complexity
    from agecompact.weights import checkpoints, importers

    imported = importers.from_keras(file, family)
    layout = imported.layout
    sha256 = checkpoints.write(
        out,
        imported.network,
        model_id=layout.model_id,
        config=layout.config,
        contract=layout.contract,
        card=imported.card,
    )
    parameters = complexity.parameters(imported.network)
    statistics = complexity.bn_statistics(imported.network)
    emit(
        {
            "schema_version": 1,
            "model": layout.model_id,
            "parameters": parameters,
            "bn_statistics": statistics,
            "file": str(out),
            "sha256": sha256,
            **imported.card,
        },
        json_target,
    )
    say(
        screen(json_target),
        f"{layout.model_id}: {parameters:,} parameters, {statistics:,} BN statistics",
        f"weights {out}",
        f"sha256  {sha256}",
        f"card    {checkpoints.card_path(out)}",
    )
