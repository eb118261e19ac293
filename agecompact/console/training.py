"""What the verbs that train share: how a training is asked for, and how its steps are shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import progress

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.training.watch import Progress

_PATH = click.Path(path_type=Path)

_OPTIONS = (
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override the recipe."
    ),
    click.option("--epochs", type=click.IntRange(1), help="Length, in place of the recipe's."),
    click.option("--start", type=_PATH, help="Weights to go on from."),
    click.option("--teacher", type=_PATH, help="Weights of the teacher of a recipe that distils."),
    click.option(
        "--backbone",
        help="Published weights: ImageNet's, a state dict or 'torchvision' to download it, or "
        "FaceRes's graph.",
    ),
    click.option("--seed", "training_seed", type=click.IntRange(0), default=42, show_default=True),
    click.option("--accelerator", type=click.Choice(["auto", "cpu", "cuda"]), default="auto"),
    click.option("--threads", type=click.IntRange(1), help="CPU threads of a process."),
    click.option("--workers", type=click.IntRange(0), default=0, help="Processes that feed it."),
)


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how to train; the verb gets them under the options' names."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def bar(console: Console) -> Progress:
    """Shows an epoch's steps on a terminal; elsewhere the training's line for it is enough."""

    def steps(title: str, total: int) -> AbstractContextManager[Callable[[str], None]]:
        if not console.is_terminal or console.quiet:
            return nullcontext(lambda _: None)
        return progress(console, title, total)

    return steps
