"""`agecompact data`: what a data set holds, and its split as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.console.datasets import DataChoice, making_options, source_options

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.audit import Audit
    from agecompact.data.face import Target

_SHOWN = 5
_BAR_WIDTH = 40

_MEANINGS = {
    "entries": "files, or rows of the labels' table",
    "kept": "distinct pictures to learn from",
    "unlabelled": "the target is not known",
    "unreadable": "no image, or not a whole one",
    "faceless": "no face to frame",
    "duplicates": "same bytes as a kept file",
    "near_duplicates": "same picture as a kept file",
    "conflicting": "same bytes, different labels",
    "near_conflicting": "same picture, different labels",
}

_target_option = click.option(
    "--target", type=click.Choice(["age", "gender"]), default="age", show_default=True
)


@click.group()
def command() -> None:
    """Check a data set, or write its split to a file."""


@command.command()
@source_options
@_target_option
@click.option("-v", "--verbose", is_flag=True, help=f"Name the first {_SHOWN} files of each kind.")
@json_option
def check(choice: DataChoice, target: Target, verbose: bool, json_target: str | None) -> None:
    """Count what can be learnt from, and what cannot and why.

    Findings are handled, and no failure: broken files, wrong labels and duplicates are left out of
    every split. All their names are in the JSON.
    """
    from agecompact.console.datasets import load_survey
    from agecompact.data.audit import audit

    console = screen(json_target)
    result = audit(load_survey(choice, target, console))
    emit(result.to_json(), json_target)
    _print(result, console, verbose)


@command.command()
@making_options
@_target_option
@click.option("--all-folds", is_flag=True, help="Write every fold, to OUT/FOLD.json.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The split file to write."
)
def split(choice: DataChoice, target: Target, all_folds: bool, out: Path) -> None:
    """Split a data set's distinct pictures and write who is in which part.

    `train` and `evaluate` read the file with --split-file.
    """
    from agecompact.console.datasets import load_survey, make_folds, pick_fold
    from agecompact.data import registry, splitfile
    from agecompact.data.splits import PARTS

    console = screen()
    survey = load_survey(choice, target, console)
    protocol = registry.get(choice.dataset).protocol(choice.protocol)
    folds = make_folds(choice, survey)
    if not all_folds:
        fold = pick_fold(choice, folds)
        folds = {fold: folds[fold]}
    for fold, parts in folds.items():
        path = out / f"{fold}.json" if all_folds else out
        content = splitfile.of_split(
            parts, survey, protocol=protocol.id, fold=fold, seed=choice.seed
        )
        splitfile.write(path, content)
        sizes = ", ".join(f"{part} {len(parts.part(part))}" for part in PARTS)
        console.print(f"wrote {path}: {sizes}; sha256 {parts.sha256}", markup=False, soft_wrap=True)


def _print(result: Audit, console: Console, verbose: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    survey = result.survey
    table = Table("entries", "count", "meaning", title=f"{survey.dataset}, {survey.target}")
    table.columns[1].justify = "right"
    for name, count in survey.counts.items():
        rejected = name.startswith("rejected: ")
        meaning = "the reader leaves it out" if rejected else _MEANINGS[name]
        label = escape(name.removeprefix("rejected: ").replace("_", " "))
        table.add_row(label, str(count), meaning, end_section=name in ("entries", "kept"))
    console.print(table)
    people = "unknown" if result.subjects is None else str(result.subjects)
    genders = ", ".join(f"{name} {count}" for name, count in result.genders.items())
    console.print(
        f"of the kept: ages {result.youngest} to {result.oldest}; {genders}; people {people}"
    )
    most = max(result.decades.values())
    ages = Table("age", "faces", "", box=None)
    ages.columns[1].justify = "right"
    for first, count in result.decades.items():
        bar = "█" * max(1, round(_BAR_WIDTH * count / most))
        ages.add_row(f"{first}-{first + 9}", str(count), bar)
    console.print(ages)
    if not verbose:
        return
    for why, names in survey.dropped.items():
        if names:
            shown = "".join(f"\n  {_printable(name)}" for name in names[:_SHOWN])
            more = f"\n  … and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            console.print(f"{why.replace('_', ' ')}:{shown}{more}", markup=False, soft_wrap=True)


def _printable(name: str) -> str:
    # A name on disk may hold bytes that are no text.
    return name.encode(errors="replace").decode()
