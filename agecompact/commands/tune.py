"""`agecompact tune`: searches a recipe's settings with Optuna; many machines can share a study."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.datasets import DataChoice, data_options, load, require_parts
from agecompact.console.groups import PATH
from agecompact.console.training import TrainingChoice, training_options, watch
from agecompact.errors import UsageError
from agecompact.files import canonical_json, make_folder, sha256_of
from agecompact.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agecompact.training.history import Epoch
    from agecompact.training.study import Direction, Outcome, Report

_SHOWN = 10
_HASH_DIGITS = 12


@click.command()
@click.option(
    "--recipe", required=True, metavar="NAME", help="Name of a recipe, or path of a TOML file."
)
@data_options
@click.option("--out", type=PATH, required=True, help="Folder for the trials' weights and states.")
@click.option(
    "--storage",
    "url",
    envvar="AGECOMPACT_STORAGE",
    required=True,
    metavar="URL",
    help="Database of the study: sqlite:///FILE for one machine, postgresql://USER:PASSWORD@HOST/"
    "NAME or similar for several; default: the environment variable AGECOMPACT_STORAGE.",
)
@click.option(
    "--study", "study_name", metavar="NAME", help="Name of the study; default: the recipe's name."
)
@click.option(
    "--search",
    "searches",
    multiple=True,
    required=True,
    metavar="KEY=SPEC",
    help="Values to try for a key of the recipe: LOW..HIGH, log:LOW..HIGH, int:LOW..HIGH or A|B|C; "
    "repeatable.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="Stop when the study has N finished trials, of all workers.",
)
@training_options
@json_option
def command(
    recipe: str,
    choice: DataChoice,
    out: Path,
    url: str,
    study_name: str | None,
    searches: tuple[str, ...],
    trials: int,
    training: TrainingChoice,
    json_target: str | None,
) -> None:
    """Search for the settings of a recipe with the best validation error.

    Run the same command on several machines to share a study through its storage. Trials that fall
    behind are stopped early. The trial of an interrupted worker is queued again, and resumes after
    its last complete epoch if OUT has it. Trials are compared on the validation part; the test part
    is not used.
    """
    import torch

    from agecompact.evaluation.evaluate import target_of_contract
    from agecompact.training import recipe as recipes
    from agecompact.training import search, session, study
    from agecompact.training.start import SourceWeights
    from agecompact.training.storage import open_storage, shown, storage_errors

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "each worker of a search is one process",
            fix="start `agecompact tune` on each device, without torchrun",
        )
    space = search.parse(searches)
    fixed = {setting.partition("=")[0].strip() for setting in training.settings}
    for dimension in space:
        if dimension.key in fixed:
            raise UsageError(
                f"'{dimension.key}' is both searched and set", fix="leave out one of the two"
            )
    base = recipes.load(recipe, training.settings)
    candidates = [
        recipes.load(recipe, (*training.settings, *corner)) for corner in search.corners(space)
    ]
    contract = base.contract
    direction: Direction = (
        "minimize" if contract.only_output("tuning").unit == "years" else "maximize"
    )
    sources = SourceWeights.read(training.start, training.teacher, training.backbone)
    session.rehearse(sources.first_applied(candidates), sources)
    console = screen(json_target)
    if training.threads:
        torch.set_num_threads(training.threads)
    make_folder(out)

    storage = open_storage(url)
    with storage_errors(url):
        shared = study.open_study(
            storage,
            study_name or Path(recipe).stem,
            direction=direction,
            seed=training.seed,
            epochs=base.epochs,
        )
        done = study.finished(study.outcomes(shared))
        where = f"study '{shared.study_name}' in {shown(url)}"
        if done >= trials:
            say(console, f"{where} has {done} finished trials: nothing to do")
        else:
            say(console, f"{where}: {done} of {trials} trials are finished")
            searched = {"search": sorted(map(str, space))}
            identity: dict[str, Any] = {
                "recipe": dataclasses.asdict(base),
                "seed": training.seed,
                "start": sources.start.sha256 if sources.start else None,
                "teacher": sources.teacher.sha256 if sources.teacher else None,
                "backbone": _backbone(training.backbone),
            }
            # Before the survey, which takes minutes and tells the split.
            study.reject_another(shared, {**identity, **searched})
            _, split = load(choice, target_of_contract(contract), console)
            require_parts(split, ("train", "val"))
            identity["split"] = split.sha256
            study.claim(shared, {**identity, **searched})

            def attempt(number: int, settings: tuple[str, ...], report: Report) -> float:
                from agecompact.training import devices, logs
                from agecompact.training.run import Run

                try:
                    tried = sources.applied(recipes.load(recipe, (*training.settings, *settings)))
                except UsageError as error:
                    raise study.UnfitError(error.what, why=error.why) from None
                folder = out / _folder(identity, settings)
                say(console, f"trial {number} in {folder}: {' '.join(settings)}")

                def after(history: Sequence[Epoch]) -> None:
                    logs.write(folder, history)
                    report([epoch.val for epoch in history], tried.epochs)

                run = Run(
                    tried,
                    split,
                    folder,
                    devices.fabric(training.accelerator, tried.precision),
                    training.seed,
                    watch=watch(console, after, f"trial {number}, "),
                    workers=training.workers,
                    cache=choice.cache,
                )
                trained, _ = session.train(run, sources)
                validations = [epoch.val for epoch in trained.history]
                # A training that was already complete has not reported anything.
                report(validations, len(validations))
                return validations[trained.kept - 1]

            study.search(
                shared,
                space,
                attempt,
                trials=trials,
                ended=lambda trial: say(console, _line(trial, direction)),
            )
        results = study.outcomes(shared)

    best = study.ranked(results, direction)[:_SHOWN]
    settings = (*training.settings, *(best[0].overrides if best else ()))
    words = ["agecompact", "train", "--recipe", recipe, *training.words(settings)]
    words += ["--seed", str(training.seed)]
    emit(
        {
            "schema_version": 1,
            "study": shared.study_name,
            "direction": direction,
            "unit": "mae_years" if direction == "minimize" else "accuracy",
            "part": "val",
            "counts": dict(Counter(trial.state for trial in results)),
            "best": {
                "trial": best[0].number,
                "value": best[0].value,
                "overrides": list(settings),
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
            f"no trial of the study '{shared.study_name}' finished",
            why=f"the last one: {reasons[-1]}" if reasons else "none was run",
            fix="search narrower ranges, in a new --study",
        )
    show(console, _table(shared.study_name, [d.key for d in space], best, results, direction))
    say(console, "To train and test the best (add the same data options, and --out):")
    say(console, shlex.join(words))


def _folder(identity: dict[str, Any], chosen: tuple[str, ...]) -> str:
    """The folder of a trial: equal trainings of any worker or study share one."""
    text = canonical_json({**identity, "overrides": sorted(chosen)})
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _backbone(backbone: str | None) -> str | None:
    return sha256_of(Path(backbone)) if backbone and Path(backbone).is_file() else backbone


def _value(value: float | None, direction: Direction) -> str:
    if value is None:
        return ""
    return f"MAE {value:.3f} years" if direction == "minimize" else f"accuracy {value:.4f}"


def _line(trial: Outcome, direction: Direction) -> str:
    """The result of a trial, as a line."""
    return f"trial {trial.number} {trial.state}: {trial.reason or _value(trial.value, direction)}"


def _table(
    name: str,
    keys: Sequence[str],
    best: Sequence[Outcome],
    results: Sequence[Outcome],
    direction: Direction,
) -> Table:
    counts = Counter(trial.state for trial in results)
    rows = []
    for trial in best:
        values = dict(override.split("=", 1) for override in trial.overrides)
        cells = (_short(values.get(key, "")) for key in keys)
        rows.append((str(trial.number), _value(trial.value, direction), str(trial.epochs), *cells))
    return Table(
        columns=(
            Column("trial", "name"),
            Column("validation", "number"),
            Column("epochs", "number", rank=1),
            *(Column(key, "number") for key in keys),
        ),
        rows=tuple(rows),
        title=f"{name}: {', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}",
    )


def _short(text: str) -> str:
    """A value in few digits; the command below the table has all of them."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
