"""`agecompact lemur`: exports networks for the LEMUR framework."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agecompact.console.common import emit, json_option, say, screen
from agecompact.console.groups import PATH, weights_option


@click.group()
def command() -> None:
    """Export networks for LEMUR (PyPI nn-dataset)."""


@command.command("export")
@click.argument("model")
@weights_option
@click.option(
    "--out", type=PATH, required=True, help="Folder for the module, its weights and their card."
)
@json_option
def export(model: str, weights: Path | None, out: Path, json_target: str | None) -> None:
    """Write MODEL as a Python module for LEMUR, with its weights.

    The module needs only torch. The weights are a safetensors file with the names of the module's
    state dict, since agecompact does not write pickles, which LEMUR uses.
    """
    from agecompact.console.models import model_file
    from agecompact.files import atomic_path, pretty_json, write_text
    from agecompact.lemur.module import lemur_module
    from agecompact.models import registry
    from agecompact.weights import checkpoints

    registry.get(model)
    console = screen(json_target)
    naming = "agecompact lemur export {model} --weights {path} --out " + str(out)
    opening = model_file(model, weights, None, console, naming=naming)
    loaded = checkpoints.read(click.get_current_context().with_resource(opening))
    # Checks that the weights fit the model.
    loaded.network()
    module = lemur_module(model, loaded.config, loaded.contract)

    source = out / f"{module.name}.py"
    stored = out / f"{module.name}.safetensors"
    write_text(source, module.source)
    with atomic_path(stored) as temporary:
        temporary.write_bytes(loaded.path.read_bytes())
    if loaded.card:
        card = {**loaded.card, "file": stored.name}
        write_text(checkpoints.card_path(stored), pretty_json(card))

    train = (
        f"python -m ab.nn.train -c {module.configuration} -f {module.transform} "
        f"-p '{json.dumps(dict(module.hyperparameters))}'"
    )
    load = f'net.load_state_dict(safetensors.torch.load_file("{stored.name}"))'
    emit(
        {
            "schema_version": 1,
            "model": model,
            "module": str(source),
            "weights": str(stored),
            "sha256": loaded.sha256,
            "configuration": module.configuration,
            "transform": module.transform,
            "hyperparameters": dict(module.hyperparameters),
            "train": train,
            "load": load,
        },
        json_target,
    )
    say(
        console,
        f"module  {source}",
        f"weights {stored}",
        f"sha256  {loaded.sha256}",
        f"terms   {loaded.terms or 'unknown'}",
        "",
        f"In LEMUR: copy {source.name} into ab/nn/nn, then",
        f"  {train}",
        "With these weights:",
        "  import safetensors.torch",
        f"  {load}",
    )
