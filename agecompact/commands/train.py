"""`agecompact train`: weights of a model, with the card that says where they come from."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.console.datasets import DataChoice, data_options, load, split_file_of
from agecompact.console.training import bar, training_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric import Fabric
    from rich.console import Console

    from agecompact.data.splitfile import SplitFile
    from agecompact.data.survey import Survey
    from agecompact.training.history import Epoch, TrainingResult
    from agecompact.training.recipe import Recipe
    from agecompact.training.start import SourceWeights
    from agecompact.weights.checkpoints import Weights

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--recipe", "recipe_name", required=True, help="A recipe's name, or a TOML file.")
@data_options
@click.option("--out", type=_PATH, required=True, help="Folder of weights, logs and state.")
@training_options
@click.option("--restart", is_flag=True, help="Forget the state of an interrupted training in OUT.")
@json_option
def command(
    recipe_name: str,
    choice: DataChoice,
    out: Path,
    overrides: tuple[str, ...],
    epochs: int | None,
    start: Path | None,
    teacher: Path | None,
    backbone: str | None,
    training_seed: int,
    accelerator: str,
    threads: int | None,
    workers: int,
    restart: bool,
    json_target: str | None,
) -> None:
    """Train a model by a recipe and write OUT/MODEL.safetensors with its card.

    A training that was stopped goes on after its last whole epoch. Under torchrun it runs on all of
    its processes.
    """
    import torch

    from agecompact.console.evaluation_tables import metrics_table
    from agecompact.data import splitfile
    from agecompact.evaluation import card_sections
    from agecompact.evaluation.evaluate import evaluate, target_of_contract
    from agecompact.evaluation.prediction import NetworkModel
    from agecompact.files import make_folder
    from agecompact.models import registry
    from agecompact.training import devices, session
    from agecompact.training import recipe as recipes
    from agecompact.training.start import SourceWeights
    from agecompact.weights import cards, checkpoints

    if epochs:
        overrides = (*overrides, f"epochs={epochs}")
    sources = SourceWeights.read(start, teacher, backbone)
    recipe = sources.applied(recipes.load(recipe_name, overrides))
    fabric = devices.fabric(accelerator, recipe.precision)
    console = screen(json_target)
    console.quiet = not fabric.is_global_zero
    if threads:
        torch.set_num_threads(threads)
    target = target_of_contract(registry.get(recipe.model).contract)
    survey, split = load(choice, target, console)
    counts = ", ".join(f"{n} {kind}" for kind, n in survey.counts.items() if n)
    console.print(f"{recipe_name}: {recipe.epochs} epochs on {len(split.train)} faces of {counts}")

    make_folder(out)
    split_content = split_file_of(choice, survey, split)
    if fabric.is_global_zero:
        splitfile.write(out / _SPLIT, split_content)
    if restart and fabric.is_global_zero:
        (out / _STATE).unlink(missing_ok=True)
    fabric.barrier()
    trained, origin = session.train(
        recipe,
        split,
        out,
        fabric,
        sources=sources,
        watch=_watch(console, out, fabric),
        seed=training_seed,
        workers=workers,
        cache=choice.cache,
    )
    if not fabric.is_global_zero:
        return
    words = ["agecompact", "train", "--recipe", Path(recipe_name).name]
    words += ["--dataset", choice.dataset, "--seed", str(training_seed)]
    words += ["--split-file", choice.split_file.name] if choice.split_file else []
    for override in overrides:
        words += ["--set", override]
    for flag, file in (("--start", start), ("--teacher", teacher), ("--backbone", backbone)):
        words += [flag, Path(file).name] if file else []
    path = out / f"{recipe.model}.safetensors"
    checkpoints.write(
        path,
        checkpoints.read(out / f"{recipe.keep}.safetensors").network(),
        model_id=recipe.model,
        config=recipe.config,
        card={
            "data": _data(choice, survey, trained),
            "split": _split(split_content, out / _SPLIT),
            "training": {
                "command": shlex.join(words),
                "seed": training_seed,
                **_lineages(sources),
                **_training(recipe, trained, origin, fabric),
            },
        },
        half=recipe.half,
    )
    # The figures are those of the stored file, which may be rounded to float16.
    weights = checkpoints.read(path)
    model = NetworkModel(weights.network(), weights.contract)
    evaluation = evaluate(model, weights.contract, split.test)
    sections = card_sections.sections(
        evaluation, dataset=choice.dataset, part="test", split_sha256=split.sha256
    )
    cards.update(path, sections)
    emit({**weights.card, **sections}, json_target)
    title = f"{recipe.model}, test part"
    console.print(metrics_table(title, evaluation.metrics, evaluation.intervals))
    console.print(f"wrote {path}", markup=False)


_STATE = "state.safetensors"
_SPLIT = "split.json"


def _watch(console: Console, out: Path, fabric: Fabric) -> Any:
    """Shows a training on a console and logs it as CSV and, where it can, for TensorBoard."""
    from agecompact.training import logs
    from agecompact.training.watch import Watch

    def report(history: Sequence[Epoch]) -> None:
        if fabric.is_global_zero:
            logs.write(out, history)

    return Watch(
        say=lambda line: console.print(line, markup=False), progress=bar(console), report=report
    )


def _data(choice: DataChoice, survey: Survey, trained: TrainingResult) -> dict[str, Any]:
    from agecompact.data import registry

    dataset = registry.get(choice.dataset)
    return {
        "name": dataset.title,
        "terms": dataset.terms,
        "counts": survey.counts,
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
    """Returns the card's entries for the weights that the training used."""
    named = {"start": sources.start, "teacher": sources.teacher}
    return {name: _lineage(weights) for name, weights in named.items() if weights}


def _lineage(weights: Weights) -> dict[str, Any]:
    """What a card says of other weights that took part."""
    return {
        "model": weights.model_id,
        "sha256": weights.sha256,
        "training": weights.card.get("training"),
        "evaluation": weights.card.get("evaluation"),
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
