"""`agecompact weights`: converts public Keras weights and state dicts to weights files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.errors import UsageError
from agecompact.filetypes import kind_of
from agecompact.imports import import_extra

if TYPE_CHECKING:
    from agecompact.weights.importers.ports import Flatten


@click.group()
def command() -> None:
    """Convert public Keras weights and state dicts."""


@command.command("import")
@click.argument("file", type=PATH)
@click.option(
    "--model",
    required=True,
    metavar="ID",
    help="Network in the file: ssrnet, ssrnet-gender or c3ae of a Keras file, any of a state dict.",
)
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Weights file to write, *.safetensors; its card is written beside it as *.json.",
)
@click.option(
    "--flatten",
    type=click.Choice(["chw", "hwc"]),
    help="Order in which a PyTorch port's code flattens maps; default: chw, torch's own.",
)
@click.option(
    "--bn-epsilon",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="NUMBER",
    help="Epsilon of a PyTorch port's batch norms; default: 1e-5, torch's own.",
)
@json_option
def import_(
    file: Path,
    model: str,
    out: Path,
    flatten: Flatten | None,
    bn_epsilon: float | None,
    json_target: str | None,
) -> None:
    """Convert a public Keras file of SSR-Net (age, gender) or C3AE, or a state dict of a model.

    A state dict is a safetensors file, or a PyTorch file that holds tensors and no code. It may be
    that of a PyTorch port of SSR-Net or C3AE whose layers have other names. What such a file does
    not show, --flatten and --bn-epsilon state.
    """
    from agecompact.models import complexity
    from agecompact.weights import checkpoints
    from agecompact.weights.adoption import adopt
    from agecompact.weights.importers.ports import Port
    from agecompact.weights.statedicts import read_state_dict

    notes: tuple[str, ...] = ()
    port = Port(flatten, bn_epsilon)
    if file.is_file() and kind_of(file) == "keras":
        if port.stated:
            raise UsageError(
                f"--flatten and --bn-epsilon do not apply to {file}",
                why="it is a Keras file, and its networks are known",
                fix="leave them out",
            )
        _write_keras(file, model, out)
    else:
        notes = adopt(read_state_dict(file), model, out, port=port)
    written = checkpoints.read(out)
    network = written.network()
    parameters = complexity.parameters(network)
    statistics = complexity.bn_statistics(network)
    emit(
        {
            "schema_version": 1,
            **written.card,
            "model": written.model_id,
            "parameters": parameters,
            "bn_statistics": statistics,
            "file": str(out),
        },
        json_target,
    )
    say(
        screen(json_target),
        *(f"{file}: {note}" for note in notes),
        f"{written.model_id}: {parameters:,} parameters, {statistics:,} BN statistics",
        f"weights {out}",
        f"sha256  {written.sha256}",
        f"card    {checkpoints.card_path(out)}",
        *([f"assumed {written.card['assumed']}"] if "assumed" in written.card else []),
    )


def _write_keras(file: Path, family: str, out: Path) -> None:
    import_extra("h5py", "train")
    from agecompact.weights import checkpoints, importers

    imported = importers.from_keras(file, family)
    layout = imported.layout
    checkpoints.write(
        out,
        imported.network,
        model_id=layout.model_id,
        config=layout.config,
        contract=layout.contract,
        card=imported.card,
    )
