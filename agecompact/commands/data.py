"""`agecompact data`: counts what a data set holds, and writes its split to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console import datasets
from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.datasets import DataChoice
from agecompact.console.groups import PATH
from agecompact.tables import Column, Table

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.face import Target

_SHOWN = 5
_BAR_WIDTH = 40

_MEANINGS = {
    "entries": "files, or rows of the labels' table",
    "kept": "distinct pictures that can be used",
    "unlabelled": "no label for the target",
    "unreadable": "not an image, truncated or damaged",
    "faceless": "no face found, or the box is not in the picture",
    "not_square": "no face chip",
    "duplicates": "same bytes as a kept file",
    "near_duplicates": "same picture as a kept file",
    "conflicting": "same bytes, different labels",
    "near_conflicting": "same picture, different labels",
}

_FRAMINGS = {
    "whole": "chips",
    "border": "chips without their border",
    "detect": "faces that the detector found",
    "box": "labelled boxes",
}

_target_option = click.option(
    "--target",
    type=click.Choice(["age", "gender"]),
    default="age",
    show_default=True,
    help="Label that a face needs, and that duplicates must agree on.",
)


@click.group()
def command() -> None:
    """Check a data set, or split it."""


@command.command()
@datasets.source_options
@_target_option
@click.option(
    "-v", "--verbose", is_flag=True, help=f"List the first {_SHOWN} dropped files of each kind."
)
@json_option
def check(choice: DataChoice, target: Target, verbose: bool, json_target: str | None) -> None:
    """Count the usable and the dropped files of a data set.

    Broken files, wrong labels and duplicates are left out of every split; they are not a failure.
    The JSON output has all their names.
    """
    from agecompact.data.audit import audit

    console = screen(json_target)
    listing = datasets.read_listing(choice, target)
    result = audit(datasets.load_survey(choice, listing, target, console))
    emit(result, json_target)
    _print(result, console, verbose)


@command.command()
@datasets.making_options
@_target_option
@click.option("--all-folds", is_flag=True, help="Write all folds, to OUT/FOLD.json.")
@click.option("--out", type=PATH, required=True, help="Split file to write.")
def split(choice: DataChoice, target: Target, all_folds: bool, out: Path) -> None:
    """Split a data set and write the parts to a file.

    The option --split-file of `train` and `evaluate` reads it.
    """
    from agecompact.data import splitfile
    from agecompact.data.splits import PARTS
    from agecompact.serialization import write_versioned

    console = screen()
    listing = datasets.read_listing(choice, target)
    names = datasets.fold_names(choice, listing)
    if not all_folds:
        datasets.pick_fold(choice, names)
    survey = datasets.load_survey(choice, listing, target, console)
    protocol = datasets.protocol_of(choice, survey.faces)
    folds = datasets.make_folds(choice, survey)
    if not all_folds:
        fold = datasets.pick_fold(choice, folds)
        folds = {fold: folds[fold]}
    for fold, parts in folds.items():
        path = out / f"{fold}.json" if all_folds else out
        content = splitfile.of_split(
            parts, survey, protocol=protocol.id, fold=fold, seed=choice.split_seed
        )
        write_versioned(path, content)
        sizes = ", ".join(f"{part} {len(parts.part(part))}" for part in PARTS)
        say(console, f"wrote {path}: {protocol.id}, {sizes}; sha256 {parts.sha256}")


def _print(result: dict[str, Any], console: Console, verbose: bool) -> None:
    rows = []
    for name, count in result["counts"].items():
        reason = name.removeprefix("rejected: ")
        meaning = _MEANINGS[name] if reason == name else "rejected by the reader"
        rows.append((reason.replace("_", " "), str(count), meaning))
    columns = (Column("entries", "name"), Column("count", "number"), Column("meaning"))
    show(console, Table(columns, tuple(rows), f"{result['dataset']}, {result['target']}"))
    people = result["subjects"] or "unknown"
    genders = ", ".join(f"{name} {count}" for name, count in result["genders"].items())
    ages, decades = result["ages"], result["ages"]["decades"]
    say(console, f"kept: ages {ages['youngest']} to {ages['oldest']}; {genders}; people {people}")
    framings = ", ".join(f"{_FRAMINGS[kind]} {count}" for kind, count in result["framings"].items())
    parts = ", ".join(f"{part} {count}" for part, count in result["parts"].items())
    say(console, f"framing: {framings}", *([f"own split: {parts}"] if parts else []))
    most = max(decades.values())
    bars = tuple(
        (f"{first}-{int(first) + 9}", str(count), "█" * max(1, round(_BAR_WIDTH * count / most)))
        for first, count in decades.items()
    )
    columns = (Column("age", "name"), Column("faces", "number"), Column("", "name"))
    show(console, Table(columns, bars))
    if not verbose:
        return
    for reason, names in result["dropped"].items():
        if names:
            more = [f"  … and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
            shown = (f"  {name}" for name in names[:_SHOWN])
            say(console, f"{reason.replace('_', ' ')}:", *shown, *more)
