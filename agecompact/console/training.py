"""The training options that verbs share, and how a training shows its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import progress, say
from agecompact.console.groups import PATH, count_option, grouped_options

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.training.history import Epoch
    from agecompact.training.watch import Watch


@dataclass(frozen=True)
class TrainingChoice:
    """The values of the training options.

    Attributes:
        overrides: `KEY=VALUE` overrides of the recipe.
        epochs: Number of epochs; None for the recipe's.
        start: Weights to start from; None for what the recipe says.
        teacher: Weights of the teacher.
        backbone: Published backbone weights: a path or `torchvision`.
        seed: Seed of the training.
        accelerator: `auto`, `cpu` or `cuda`.
        threads: CPU threads per process; None for PyTorch's default.
        workers: Processes that prepare batches.
    """

    overrides: tuple[str, ...]
    epochs: int | None
    start: Path | None
    teacher: Path | None
    backbone: str | None
    seed: int
    accelerator: str
    threads: int | None
    workers: int

    @property
    def settings(self) -> tuple[str, ...]:
        """All overrides of the recipe, with the number of epochs."""
        return (*self.overrides, f"epochs={self.epochs}") if self.epochs else self.overrides

    def words(self, settings: Sequence[str], spell: Callable[[str], str] = str) -> list[str]:
        """The part of a command line that gives settings and weights.

        Args:
            settings: Overrides of the recipe.
            spell: Maps the path of a file to what is written.
        """
        words = [word for setting in settings for word in ("--set", setting)]
        files = (
            ("--start", self.start),
            ("--teacher", self.teacher),
            ("--backbone", self.backbone),
        )
        for flag, file in files:
            words += [flag, spell(str(file))] if file else []
        return words


training_options = grouped_options(
    TrainingChoice,
    "training",
    (
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a value of the recipe; repeatable.",
        ),
        count_option("--epochs", "Number of epochs, instead of the recipe's."),
        click.option("--start", type=PATH, help="Weights to start from."),
        click.option("--teacher", type=PATH, help="Weights of the teacher, to distil from."),
        click.option(
            "--backbone",
            metavar="FILE",
            help="Published backbone weights: a state dict trained on ImageNet, 'torchvision' to "
            "download it, or the graph of FaceRes.",
        ),
        count_option(
            "--seed",
            "Seed of initial weights, augmentation and the order of faces.",
            minimum=0,
            default=42,
        ),
        click.option(
            "--accelerator",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where to train; auto is CUDA if there is a GPU.",
        ),
        count_option("--threads", "CPU threads per process."),
        count_option(
            "--workers", "Processes that prepare batches; 0 for none.", minimum=0, default=0
        ),
    ),
)


def watch(console: Console, report: Callable[[Sequence[Epoch]], None], prefix: str = "") -> Watch:
    """Shows a training on a console: a line per epoch, and on a terminal a bar of its steps.

    Args:
        console: Where to show it.
        report: Called with the history after each epoch; it may raise to stop the training.
        prefix: Text before every line.
    """
    from agecompact.training.watch import Watch

    @contextmanager
    def steps(title: str, total: int) -> Iterator[Callable[[str], None]]:
        if not console.is_terminal or console.quiet:
            yield lambda _: None
            return
        with progress(console, prefix + title, total) as stages:
            yield stages.done

    return Watch(say=lambda line: say(console, prefix + line), progress=steps, report=report)
