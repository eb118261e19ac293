"""The options that say how to check, and the settings that they make."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.errors import UsageError
from agecompact.formats import COMPUTE_UNITS

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.face import Target
    from parity_tests.settings import Localise
    from parity_tests.task import LabelledFaces

_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LOCALISE: dict[bool | None, Localise] = {None: "mismatch", True: "always", False: "never"}
_PATH = click.Path(path_type=Path)

tolerances_option = click.option(
    "--tolerances", type=_PATH, metavar="FILE", help="Your gates, in the form of tolerances.toml."
)

_OPTIONS = (
    click.option(
        "--images", type=_PATH, metavar="DIR", help="Also check the face chips of this folder."
    ),
    tolerances_option,
    click.option(
        "--localise/--no-localise",
        default=None,
        help="Report the op where an error originates; by default, only where a check fails.",
    ),
    click.option(
        "--search/--no-search",
        default=True,
        show_default=True,
        help="Search for the input with the greatest error.",
    ),
    click.option(
        "--compute-unit",
        "compute_units",
        type=click.Choice(tuple(COMPUTE_UNITS)),
        multiple=True,
        default=("cpuOnly",),
        show_default=True,
        help="Compute unit of Core ML on a Mac; repeatable.",
    ),
    click.option(
        "--threads", type=click.IntRange(1), default=1, show_default=True, help="For each runtime."
    ),
    click.option("--jobs", type=click.IntRange(1), metavar="N", help="Run N checks at once."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest wait for one reply of a runtime.",
    ),
)

_LABELLED_OPTIONS = (
    click.option(
        "--data",
        type=_PATH,
        metavar="DIR",
        help="Also gate the MAE on the test part of this labelled data set.",
    ),
    click.option(
        "--dataset", default="utkface", show_default=True, metavar="ID", help="Layout of --data."
    ),
    click.option(
        "--limit", type=click.IntRange(1), metavar="N", help="Use the first N faces of --data."
    ),
    click.option(
        "--cache", type=_PATH, metavar="DIR", help="Keep decoded images of --data in this folder."
    ),
)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of every check; the verb gets them as `settings: CheckSettings`."""

    @functools.wraps(function)
    def command(
        images: Path | None,
        tolerances: Path | None,
        localise: bool | None,
        search: bool,
        compute_units: tuple[str, ...],
        threads: int,
        jobs: int | None,
        timeout_s: float,
        **arguments: Any,
    ) -> Any:
        from parity_tests.search import Budget
        from parity_tests.settings import CheckSettings
        from parity_tests.tolerances import load

        settings = CheckSettings(
            tolerances=load(tolerances),
            images=images_in(images) if images else (),
            budget=Budget() if search else None,
            localise=_LOCALISE[localise],
            timeout_s=timeout_s,
            compute_units=compute_units,
            threads=threads,
            jobs=jobs or os.cpu_count() or 1,
        )
        return function(settings=settings, **arguments)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def labelled_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of the end-task gate: `data`, `dataset`, `limit` and `cache`."""
    for option in reversed(_LABELLED_OPTIONS):
        function = option(function)
    return function


def images_in(folder: Path) -> tuple[Path, ...]:
    """The images in a folder, sorted.

    Raises:
        UsageError: There are none.
    """
    found = tuple(p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _IMAGES)
    if not found:
        raise UsageError(
            f"no image in {folder}",
            why=f"looked for {', '.join(sorted(_IMAGES))}",
            fix="give a folder of images with --images",
        )
    return found


def labelled_faces(
    targets: set[Target],
    console: Console,
    *,
    data: Path | None,
    dataset: str,
    limit: int | None,
    cache: Path | None,
) -> dict[Target, LabelledFaces]:
    """Labelled faces for each target of the models; empty without `--data`.

    Raises:
        UsageError: The data set cannot be read.
    """
    if data is None:
        return {}
    from agecompact.console.datasets import DataChoice, load
    from agecompact.evaluation.prediction import cached, decode_face
    from parity_tests.task import LabelledFaces

    chosen: dict[Target, LabelledFaces] = {}
    for target in sorted(targets):
        _, split = load(DataChoice(dataset, data, cache=cache), target, console)
        faces = split.test[:limit]
        source = cached(faces, cache) if cache else decode_face
        chosen[target] = LabelledFaces(faces, target, source)
    return chosen
