"""The options that say how to check, and the plan that they make."""

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
    from parity_tests.plan import Localise
    from parity_tests.task import Labelled

_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LOCALISE: dict[bool | None, Localise] = {None: "mismatch", True: "always", False: "never"}
_PATH = click.Path(path_type=Path)

_OPTIONS = (
    click.option(
        "--images", type=_PATH, metavar="DIR", help="Also ask the face chips of this folder."
    ),
    click.option(
        "--tolerances", type=_PATH, metavar="FILE", help="Your gates, as in tolerances.toml."
    ),
    click.option(
        "--localise/--no-localise",
        default=None,
        help="Tell the op where an error is born; if not said, where a check fails.",
    ),
    click.option(
        "--search/--no-search",
        default=True,
        show_default=True,
        help="Look for the input that disagrees most.",
    ),
    click.option(
        "--compute-unit",
        "compute_units",
        type=click.Choice(tuple(COMPUTE_UNITS)),
        multiple=True,
        default=("cpuOnly",),
        show_default=True,
        help="Of a real Core ML; repeatable.",
    ),
    click.option(
        "--threads", type=click.IntRange(1), default=1, show_default=True, help="For each runtime."
    ),
    click.option("--jobs", type=click.IntRange(1), metavar="N", help="Checks at once."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest wait for one answer.",
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
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Of --data, N faces."),
    click.option(
        "--cache", type=_PATH, metavar="DIR", help="Keep decoded images of --data in this folder."
    ),
)


def plan_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of every check; the verb gets them as `plan: Plan`."""

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
        from parity_tests.plan import Plan
        from parity_tests.search import Budget
        from parity_tests.tolerances import load

        plan = Plan(
            tolerances=load(tolerances),
            images=images_in(images) if images else (),
            budget=Budget() if search else None,
            localise=_LOCALISE[localise],
            timeout_s=timeout_s,
            compute_units=compute_units,
            threads=threads,
            jobs=jobs or os.cpu_count() or 1,
        )
        return function(plan=plan, **arguments)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def labelled_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of the end-task gate: `data`, `dataset`, `limit` and `cache`."""
    for option in reversed(_LABELLED_OPTIONS):
        function = option(function)
    return function


def images_in(folder: Path) -> tuple[Path, ...]:
    """The images of a folder, sorted.

    Raises:
        UsageError: There is none.
    """
    found = tuple(p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _IMAGES)
    if not found:
        raise UsageError(f"no image in {folder}", why=f"looked for {', '.join(sorted(_IMAGES))}")
    return found


def labelled(
    targets: set[Target],
    console: Console,
    *,
    data: Path | None,
    dataset: str,
    limit: int | None,
    cache: Path | None,
) -> dict[Target, Labelled]:
    """Labelled faces for each target that the models have; none without `--data`.

    Raises:
        UsageError: The data set cannot be read.
    """
    if data is None:
        return {}
    from agecompact.console.datasets import DataChoice, load
    from agecompact.evaluation.prediction import cached, decode_face
    from parity_tests.task import Labelled

    chosen: dict[Target, Labelled] = {}
    for target in sorted(targets):
        _, split = load(DataChoice(dataset, data, cache=cache), target, console)
        faces = split.test[:limit]
        source = cached(faces, cache) if cache else decode_face
        chosen[target] = Labelled(faces, target, source)
    return chosen
