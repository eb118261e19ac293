"""The options that say how to check."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.datasets import framing_option, layout_option
from agecompact.console.groups import PATH, count_option, grouped_options
from agecompact.faces.files import images_in
from agecompact.formats import COMPUTE_UNITS, runtime_named
from parity_tests import tolerances
from parity_tests.search import Budget
from parity_tests.settings import CheckSettings, Localise

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.chips import FramingChoice
    from agecompact.data.face import Target
    from parity_tests.task import LabelledFaces

_LOCALISE: dict[bool | None, Localise] = {None: "mismatch", True: "always", False: "never"}


@dataclass(frozen=True)
class LabelledChoice:
    """The values of the options of the end-task gate.

    Attributes:
        data: Folder of a labelled data set, or its table; None skips the gate.
        dataset: Key of `registry.DATASETS`.
        framing: How its pictures become chips; None for what fits it.
        limit: Number of faces; None for all.
        cache: Folder of cached chips; None for no cache.
    """

    data: Path | None
    dataset: str
    framing: FramingChoice | None
    limit: int | None
    cache: Path | None


def _converted(convert: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """A callback that converts the value of an option."""
    return lambda _context, _parameter, value: convert(value)


tolerances_option = click.option(
    "--tolerances",
    type=PATH,
    callback=_converted(tolerances.load),
    metavar="FILE",
    help="Your gates, in the form of tolerances.toml.",
)

settings_options = grouped_options(
    CheckSettings,
    "settings",
    (
        click.option(
            "--images",
            type=PATH,
            callback=_converted(lambda folder: images_in(folder, "--images") if folder else ()),
            metavar="DIR",
            help="Also check the face chips of this folder.",
        ),
        tolerances_option,
        click.option(
            "--localise/--no-localise",
            default=None,
            callback=_converted(_LOCALISE.__getitem__),
            help="Report the op where an error originates; by default, only where a check fails.",
        ),
        click.option(
            "--search/--no-search",
            "budget",
            default=True,
            show_default=True,
            callback=_converted(lambda on: Budget() if on else None),
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
        count_option("--threads", "Threads for each runtime.", default=1),
        count_option("--jobs", "Checks that run at once.", default=os.cpu_count()),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=120.0,
            show_default=True,
            metavar="SECONDS",
            help="Longest wait for one reply of a runtime.",
        ),
    ),
)

_PROCESSORS = (
    click.option(
        "--everywhere",
        "on_all",
        is_flag=True,
        help="Check on every processor: also on the GPU, the NPU and in browsers. Says which "
        "ones are skipped because their extras are not installed.",
    ),
    click.option(
        "--runtime",
        "named",
        metavar="NAME",
        multiple=True,
        callback=_converted(lambda names: tuple(runtime_named(name).name for name in names)),
        help="Check in this runtime alone, such as htp-v79; repeatable.",
    ),
)


def processor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where to check."""
    for option in reversed(_PROCESSORS):
        function = option(function)
    return function


labelled_options = grouped_options(
    LabelledChoice,
    "labelled",
    (
        click.option(
            "--data",
            type=PATH,
            metavar="PATH",
            help="Also gate the MAE on the test part of this labelled data set, a folder or the "
            "table of csv and jsonl.",
        ),
        layout_option,
        framing_option,
        count_option("--limit", "Number of faces of --data; default: all."),
        click.option(
            "--cache",
            type=PATH,
            metavar="DIR",
            help="Keep decoded images of --data in this folder.",
        ),
    ),
)


def labelled_faces(
    choice: LabelledChoice, targets: set[Target], console: Console
) -> dict[Target, LabelledFaces]:
    """Labelled faces for each target of the models; empty without `--data`.

    Raises:
        UsageError: The data set cannot be read.
    """
    if choice.data is None:
        return {}
    from agecompact.console.datasets import DataChoice, load_tested, read_listing
    from agecompact.data.face import spread
    from agecompact.evaluation.prediction import cached, decode_face
    from parity_tests.task import LabelledFaces

    data = DataChoice(choice.dataset, choice.data, cache=choice.cache, framing=choice.framing)
    for target in targets:
        # All of them before the first survey, which takes minutes.
        read_listing(data, target)
    chosen: dict[Target, LabelledFaces] = {}
    for target in sorted(targets):
        faces = tuple(spread(load_tested(data, target, console), choice.limit))
        source = cached(faces, choice.cache) if choice.cache else decode_face
        chosen[target] = LabelledFaces(faces, target, source)
    return chosen
