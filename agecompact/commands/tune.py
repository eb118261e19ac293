"""`agecompact tune`: a search over a recipe's settings, which many machines can share."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.console.datasets import DataChoice, data_options, load
from agecompact.console.training import bar, training_options
from agecompact.errors import UsageError
from agecompact.files import canonical_json, make_folder, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from agecompact.training.history import Epoch
    from agecompact.training.study import Direction, Outcome, Report
    from agecompact.training.watch import Watch

SCHEMA_VERSION = 1

_SHOWN = 10
_HASH_DIGITS = 12
_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--recipe", "recipe_name", required=True, help="A recipe's name, or a TOML file.")
@data_options
@click.option("--out", type=_PATH, required=True, help="Folder of the trials' weights and states.")
@click.option(
    "--storage",
    "url",
    envvar="AGECOMPACT_STORAGE",
    required=True,
    metavar="URL",
    help="Database of the study: sqlite:///FILE on one machine, postgresql://USER:PASSWORD@HOST/"
    "NAME or the like for many; by default the environment's AGECOMPACT_STORAGE.",
)
@click.option("--study", "study_name", metavar="NAME", help="By default the recipe's name.")
@click.option(
    "--search",
    "searches",
    multiple=True,
    required=True,
    metavar="KEY=SPEC",
    help="What to try for a key of the recipe: LOW..HIGH, log:LOW..HIGH, int:LOW..HIGH or A|B|C.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    required=True,
    help="Finished trials of the whole study after which to stop.",
)
@training_options
@json_option
def command(
    recipe_name: str,
    choice: DataChoice,
    out: Path,
    url: str,
    study_name: str | None,
    searches: tuple[str, ...],
    trials: int,
    overrides: tuple[str, ...],
    epochs: int | None,
    start: Path | None,
    teacher: Path | None,
    backbone: str | None,
    training_seed: int,
    accelerator: str,
    threads: int | None,
    workers: int,
    json_target: str | None,
) -> None:
    """Search for the settings of a recipe that validate best.

    Run the same command on as many machines as there are: they share the study through its
    storage, and give up trials that fall behind. Stopped, a worker's trial is queued again, and
    goes on after its last whole epoch where OUT holds it. Trials are compared on the validation
    part; the test part is left to `agecompact train`, to be measured once.
    """
    import torch

    from agecompact.evaluation.evaluate import target_of_contract
    from agecompact.models import registry
    from agecompact.training import recipe as recipes
    from agecompact.training import search, study
    from agecompact.training.start import SourceWeights
    from agecompact.training.storage import open_storage, shown, storage_errors

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "a search runs on workers of one process each",
            fix="start `agecompact tune` itself on each device, without torchrun",
        )
    space = search.parse(searches)
    if epochs:
        overrides = (*overrides, f"epochs={epochs}")
    fixed = {override.partition("=")[0].strip() for override in overrides}
    for dimension in space:
        if dimension.key in fixed:
            raise UsageError(
                f"'{dimension.key}' is searched and set", fix="leave out one of the two"
            )
    recipe = recipes.load(recipe_name, overrides)
    for corner in search.corners(space):
        recipes.load(recipe_name, (*overrides, *corner))
    contract = registry.get(recipe.model).contract
    direction: Direction = "minimize" if contract.output.unit == "years" else "maximize"
    sources = SourceWeights.read(start, teacher, backbone)
    console = screen(json_target)
    if threads:
        torch.set_num_threads(threads)
    make_folder(out)

    storage = open_storage(url)
    with storage_errors(url):
        shared = study.open_study(
            storage,
            study_name or Path(recipe_name).stem,
            direction=direction,
            seed=training_seed,
            epochs=recipe.epochs,
        )
        done = study.finished(study.outcomes(shared))
        where = f"study '{shared.study_name}' in {shown(url)}"
        if done >= trials:
            console.print(
                f"{where} has {done} finished trials: nothing to do", markup=False, soft_wrap=True
            )
        else:
            console.print(
                f"{where}: {done} of {trials} trials are finished", markup=False, soft_wrap=True
            )
            _, split = load(choice, target_of_contract(contract), console)
            identity = {
                "recipe": dataclasses.asdict(recipe),
                "split": split.sha256,
                "seed": training_seed,
                "start": sources.start.sha256 if sources.start else None,
                "teacher": sources.teacher.sha256 if sources.teacher else None,
                "backbone": _backbone(backbone),
            }
            study.claim(shared, {**identity, "search": sorted(map(str, space))})

            def attempt(number: int, chosen: tuple[str, ...], report: Report) -> float:
                from agecompact.training import devices, session

                try:
                    tried = sources.applied(recipes.load(recipe_name, (*overrides, *chosen)))
                except UsageError as error:
                    raise study.UnfitError(error.what, why=error.why) from None
                folder = out / _folder(identity, chosen)
                console.print(f"trial {number} in {folder}: {' '.join(chosen)}", markup=False)
                trained, _ = session.train(
                    tried,
                    split,
                    folder,
                    devices.fabric(accelerator, tried.precision),
                    sources=sources,
                    watch=_watch(console, number, folder, report, tried.epochs),
                    seed=training_seed,
                    workers=workers,
                    cache=choice.cache,
                )
                validations = [epoch.val for epoch in trained.history]
                # A training that was whole already has told nothing yet.
                report(validations, len(validations))
                return validations[trained.kept - 1]

            study.search(
                shared,
                space,
                attempt,
                trials=trials,
                ended=lambda trial: console.print(_line(trial, direction), markup=False),
            )
        results = study.outcomes(shared)

    best = study.ranked(results, direction)[:_SHOWN]
    words = ["agecompact", "train", "--recipe", recipe_name]
    for override in (*overrides, *(best[0].overrides if best else ())):
        words += ["--set", override]
    for flag, value in (("--start", start), ("--teacher", teacher), ("--backbone", backbone)):
        words += [flag, str(value)] if value else []
    words += ["--seed", str(training_seed)]
    emit(
        {
            "schema_version": SCHEMA_VERSION,
            "study": shared.study_name,
            "direction": direction,
            "unit": "mae_years" if direction == "minimize" else "accuracy",
            "part": "val",
            "counts": dict(Counter(trial.state for trial in results)),
            "best": {
                "trial": best[0].number,
                "value": best[0].value,
                "overrides": [*overrides, *best[0].overrides],
                "command": shlex.join(words),
            }
            if best
            else None,
            "trials": [dataclasses.asdict(trial) for trial in results],
        },
        json_target,
    )
    if not best:
        reasons = [trial.reason for trial in results if trial.reason]
        raise UsageError(
            f"no trial of the study '{shared.study_name}' came to its end",
            why=f"the last one: {reasons[-1]}" if reasons else "none was run",
            fix="search milder settings, in a new --study",
        )
    console.print(_table(shared.study_name, [d.key for d in space], best, results, direction))
    console.print(
        "the best, to train and to measure on the test part (add the same data options, and --out):"
    )
    console.print(shlex.join(words), markup=False, soft_wrap=True)


def _folder(identity: dict[str, Any], chosen: tuple[str, ...]) -> str:
    """Where a trial is trained: equal trainings of any worker or study in one folder."""
    text = canonical_json({**identity, "overrides": sorted(chosen)})
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _backbone(backbone: str | None) -> str | None:
    return sha256_of(Path(backbone)) if backbone and Path(backbone).is_file() else backbone


def _watch(console: Console, number: int, folder: Path, report: Report, epochs: int) -> Watch:
    """Shows a trial on a console, logs it as `agecompact train` does, and lets it be pruned."""
    from agecompact.training import logs
    from agecompact.training.watch import Watch

    show = bar(console)

    def after(history: Sequence[Epoch]) -> None:
        logs.write(folder, history)
        report([epoch.val for epoch in history], epochs)

    return Watch(
        say=lambda line: console.print(f"trial {number}, {line}", markup=False),
        progress=lambda title, total: show(f"trial {number}, {title}", total),
        report=after,
    )


def _value(value: float | None, direction: Direction) -> str:
    if value is None:
        return ""
    return f"MAE {value:.3f} years" if direction == "minimize" else f"accuracy {value:.4f}"


def _line(trial: Outcome, direction: Direction) -> str:
    """The end of a trial, in words."""
    told = trial.reason or _value(trial.value, direction)
    return f"trial {trial.number} {trial.state}: {told}"


def _table(
    name: str,
    keys: Sequence[str],
    best: Sequence[Outcome],
    results: Sequence[Outcome],
    direction: Direction,
) -> Table:
    from rich.markup import escape
    from rich.table import Table

    counts = Counter(trial.state for trial in results)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    table = Table("trial", "validation", "epochs", title=f"{escape(name)}: {told}")
    for key in keys:
        table.add_column(escape(key), justify="right")
    for trial in best:
        values = dict(override.split("=", 1) for override in trial.overrides)
        cells = [escape(_short(values.get(key, ""))) for key in keys]
        table.add_row(str(trial.number), _value(trial.value, direction), str(trial.epochs), *cells)
    return table


def _short(text: str) -> str:
    """A value as a table has room for it; the command below the table has every digit."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
