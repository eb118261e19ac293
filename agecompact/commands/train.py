"""`agecompact train`: trains a model and writes its weights, with a card of their origin."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.datasets import (
    DataChoice,
    data_options,
    load,
    require_parts,
    split_file_of,
)
from agecompact.console.groups import PATH
from agecompact.console.training import TrainingChoice, training_options, watch
from agecompact.data.splits import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric import Fabric

    from agecompact.data.splitfile import SplitFile
    from agecompact.data.survey import Survey
    from agecompact.training.history import Epoch, TrainingResult
    from agecompact.training.recipe import Recipe
    from agecompact.training.start import SourceWeights

_STATE = "state.safetensors"
_SPLIT = "split.json"


@click.command()
@click.option(
    "--recipe", required=True, metavar="NAME", help="Name of a recipe, or path of a TOML file."
)
@data_options
@click.option("--out", type=PATH, required=True, help="Folder for weights, logs and state.")
@training_options
@click.option(
    "--restart", is_flag=True, help="Start over, even if OUT has an interrupted training."
)
@json_option
def command(
    recipe: str,
    choice: DataChoice,
    out: Path,
    training: TrainingChoice,
    restart: bool,
    json_target: str | None,
) -> None:
    """Train a model by a recipe and write OUT/MODEL.safetensors and its card.

    `agecompact list --recipes` lists the recipes. An interrupted training resumes after its last
    complete epoch. Under torchrun it uses all processes.
    """
    import torch

    from agecompact.console.evaluation_tables import metrics_table
    from agecompact.evaluation import card_sections
    from agecompact.evaluation.evaluate import evaluate, target_of_contract
    from agecompact.evaluation.prediction import NetworkModel
    from agecompact.files import claimed, make_folder
    from agecompact.serialization import write_versioned
    from agecompact.training import devices, logs, session
    from agecompact.training import recipe as recipes
    from agecompact.training.run import Run
    from agecompact.training.start import SourceWeights
    from agecompact.weights import cards, checkpoints

    sources = SourceWeights.read(training.start, training.teacher, training.backbone)
    chosen = sources.applied(recipes.load(recipe, training.settings))
    session.rehearse(chosen, sources)
    fabric = devices.fabric(training.accelerator, chosen.precision)
    console = screen(json_target)
    console.quiet = not fabric.is_global_zero
    if fabric.is_global_zero:
        click.get_current_context().with_resource(claimed(out))
    if training.threads:
        torch.set_num_threads(training.threads)
    target = target_of_contract(chosen.contract)
    say(console, *(f"{sources.backbone}: {note}" for note in sources.notes(chosen)))
    make_folder(out)
    survey, split = load(choice, target, console)
    require_parts(split, PARTS)
    counts = ", ".join(f"{n} {kind}" for kind, n in survey.counts.items() if n)
    say(console, f"{recipe}: {chosen.epochs} epochs on {len(split.train)} faces of {counts}")

    split_content = split_file_of(choice, survey, split)
    if fabric.is_global_zero:
        write_versioned(out / _SPLIT, split_content)
        if restart:
            (out / _STATE).unlink(missing_ok=True)
    fabric.barrier()

    def report(history: Sequence[Epoch]) -> None:
        if fabric.is_global_zero:
            logs.write(out, history)

    run = Run(
        chosen,
        split,
        out,
        fabric,
        training.seed,
        watch=watch(console, report),
        workers=training.workers,
        cache=choice.cache,
    )
    trained, origin = session.train(run, sources)
    if not fabric.is_global_zero:
        return
    words = ["agecompact", "train", "--recipe", Path(recipe).name]
    words += ["--dataset", choice.dataset, "--seed", str(training.seed)]
    words += ["--framing", choice.framing] if choice.framing else []
    words += ["--split-file", choice.split_file.name] if choice.split_file else []
    words += training.words(training.settings, lambda file: Path(file).name)
    path = out / f"{chosen.model}.safetensors"
    checkpoints.write(
        path,
        checkpoints.read(out / f"{chosen.keep}.safetensors").network(),
        model_id=chosen.model,
        config=chosen.config,
        card={
            "data": _data(choice, survey, trained),
            "split": _split(split_content, out / _SPLIT),
            "training": {
                "command": shlex.join(words),
                "seed": training.seed,
                **_lineages(sources),
                **_training(chosen, trained, origin, fabric),
            },
        },
        half=chosen.half,
    )
    # Measured on the stored file, which may be rounded to float16.
    weights = checkpoints.read(path)
    model = NetworkModel(weights.network(), weights.contract)
    evaluation = evaluate(model, weights.contract, split.test)
    sections = card_sections.sections(
        evaluation, dataset=choice.dataset, part="test", split_sha256=split.sha256
    )
    cards.update(path, sections)
    emit({**weights.card, **sections}, json_target)
    show(console, metrics_table(f"{chosen.model}, test part", evaluation.metrics))
    say(console, f"wrote {path}")


def _data(choice: DataChoice, survey: Survey, trained: TrainingResult) -> dict[str, Any]:
    from agecompact.data import registry

    dataset = registry.get(choice.dataset)
    return {
        "name": dataset.title,
        "terms": dataset.terms,
        "counts": survey.counts,
        "framings": survey.framings,
        "unreadable_in_train": trained.unreadable,
    }


def _split(content: SplitFile, path: Path) -> dict[str, Any]:
    from agecompact.files import sha256_of

    return {
        "file": path.name,
        "file_sha256": sha256_of(path),
        "protocol": content.protocol,
        "fold": content.fold,
        "seed": content.seed,
        "sha256": content.sha256,
        **{part: len(names) for part, names in content.parts.items()},
    }


def _lineages(sources: SourceWeights) -> dict[str, Any]:
    """The card's entries on the weights that a training started from or learned from."""
    named = {"start": sources.start, "teacher": sources.teacher}
    return {
        name: {
            "model": weights.model_id,
            "sha256": weights.sha256,
            "training": weights.card.get("training"),
            "evaluation": weights.card.get("evaluation"),
        }
        for name, weights in named.items()
        if weights
    }


def _training(
    recipe: Recipe, trained: TrainingResult, origin: dict[str, Any], fabric: Fabric
) -> dict[str, Any]:
    import torch

    device = (
        torch.cuda.get_device_name(fabric.device)
        if fabric.device.type == "cuda"
        else f"{os.cpu_count()}-core {platform.machine()} CPU, {torch.get_num_threads()} threads"
    )
    packages = ("agecompact", "torch", "lightning-fabric", "numpy", "opencv-python-headless")
    return {
        "origin": origin,
        "recipe": dataclasses.asdict(recipe),
        "history": [dataclasses.asdict(epoch) for epoch in trained.history],
        "kept_epoch": trained.kept,
        "wall_seconds": round(trained.seconds),
        "hardware": f"{fabric.world_size} x {device}" if fabric.world_size > 1 else device,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }
