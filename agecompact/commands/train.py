"""`agecompact train`: weights of a model, with the card that says where they come from."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.commands.common import emit, json_option, screen
from agecompact.commands.evaluate import data_option, metrics_table
from agecompact.errors import UsageError

if TYPE_CHECKING:
    from agecompact.checkpoints import Weights
    from agecompact.data.splits import Split
    from agecompact.data.utkface import Survey
    from agecompact.training.loop import Trained
    from agecompact.training.recipes import Recipe


@click.command()
@click.argument("model")
@data_option
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of weights and state."
)
@click.option("--epochs", type=click.IntRange(1), help="Length, in place of the recipe's.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Weights to go on from; only the recipe's last phase is then trained.",
)
@click.option("--restart", is_flag=True, help="Forget the state of an interrupted training in OUT.")
@json_option
def command(
    model: str,
    data: Path,
    out: Path,
    epochs: int | None,
    threads: int,
    start: Path | None,
    restart: bool,
    json_target: str | None,
) -> None:
    """Train MODEL on UTKFace and write OUT/MODEL.safetensors with its card.

    A training that was stopped goes on after its last whole epoch.
    """
    import torch

    from agecompact import checkpoints
    from agecompact.data import splits, utkface
    from agecompact.evaluation import measure, target_of_contract
    from agecompact.files import make_folder, pretty_json, read_json, write_text
    from agecompact.models import registry
    from agecompact.training import loop, recipes

    console = screen(json_target)
    recipe = recipes.get(model)
    if epochs:
        recipe = dataclasses.replace(recipe, epochs=epochs)
    started = checkpoints.read(start) if start else None
    if started:
        if started.model_id != model:
            raise UsageError(f"{start} holds '{started.model_id}', not '{model}'")
        whole = dataclasses.replace(recipe.phases[-1], share=1.0)
        recipe = dataclasses.replace(recipe, phases=(whole,), config=started.config)
    survey = utkface.read(data, target_of_contract(registry.get(model).contract))
    split = splits.split(survey.faces)
    console.print(
        f"{model}: {recipe.epochs} epochs on {len(split.train)} of {len(survey.faces)} faces; "
        f"dropped {survey.duplicates} duplicates, {survey.conflicting} with conflicting labels, "
        f"{survey.unlabelled} without label"
    )
    torch.set_num_threads(threads)
    state = make_folder(out) / f"{model}.state.safetensors"
    if restart:
        state.unlink(missing_ok=True)
    trained = loop.train(model, recipe, split, state, say=console.print, start=started)

    path = out / f"{model}.safetensors"
    checkpoints.write(
        path,
        trained.network,
        model_id=model,
        config=recipe.config,
        card=_card(model, recipe, survey, split, trained, started, threads),
        half=recipe.half,
    )
    # The figures are those of the stored file, which may be rounded to float16.
    weights = checkpoints.read(path)
    metrics, unreadable = measure(weights.network(), weights.contract, split.test)
    result = {"part": "test", "unreadable": unreadable, **metrics.to_json()}
    card = checkpoints.card_path(path)
    completed = {**read_json(card, what="card"), "evaluation": result}
    write_text(card, pretty_json(completed))
    emit(completed, json_target)
    state.unlink()
    console.print(f"wrote {path}", markup=False)
    console.print(metrics_table(f"{model}, test part", metrics))


def _card(
    model: str,
    recipe: Recipe,
    survey: Survey,
    split: Split,
    trained: Trained,
    started: Weights | None,
    threads: int,
) -> dict[str, Any]:
    from agecompact.data import splits, utkface

    return {
        "data": {
            "name": utkface.NAME,
            "terms": utkface.TERMS,
            "files": survey.files,
            "unlabelled": survey.unlabelled,
            "duplicates_dropped": survey.duplicates,
            "conflicting_dropped": survey.conflicting,
            "unreadable_in_train": trained.unreadable,
        },
        "split": {
            "seed": splits.SEED,
            "sha256": split.sha256,
            **{part: len(split.part(part)) for part in splits.PARTS},
        },
        "training": {
            "command": f"agecompact train {model} --epochs {recipe.epochs} --threads {threads}"
            + (f" --start {started.path.name}" if started else ""),
            "start": started
            and {
                "sha256": started.sha256,
                "training": started.card.get("training"),
                "evaluation": started.card.get("evaluation"),
            },
            "recipe": dataclasses.asdict(recipe),
            "history": [dataclasses.asdict(epoch) for epoch in trained.history],
            "wall_seconds": round(trained.seconds),
            "hardware": f"{os.cpu_count()}-core {platform.machine()} CPU, "
            f"{threads} thread{'s' * (threads > 1)}",
            "versions": {
                "python": platform.python_version(),
                **{
                    name: importlib.metadata.version(name)
                    for name in ("agecompact", "torch", "numpy", "opencv-python-headless")
                },
            },
        },
    }
