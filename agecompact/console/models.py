"""The options that choose a model by name or by file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agecompact.artifacts.onnx_source import source_file
from agecompact.console.common import say
from agecompact.errors import UsageError
from agecompact.filetypes import kind_of
from agecompact.formats import EXPORTED
from agecompact.models import project
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.weights.adoption import Adopted


@contextmanager
def model_file(
    model: str | None,
    weights: Path | None,
    artifact: Path | None,
    console: Console,
    *,
    naming: str,
    default: str | None = None,
) -> Iterator[Path]:
    """Yields the file that the options name, which exists during the block.

    Args:
        model: A model: its released weights, or the one that `weights` are of; or a project file.
        weights: A weights file, or a state dict.
        artifact: An exported file.
        console: Where to say what was unwrapped.
        naming: As `adoption.weights_file` takes it.
        default: The model if none of the three is given.

    Raises:
        UsageError: None or several of them are given, the model has no released weights, or
            `weights` cannot be read as weights of the model.
    """
    if (weights, artifact) == (None, None):
        model = model or default
    if (artifact is not None) == (model is not None or weights is not None):
        raise UsageError(
            "exactly one model is needed",
            why="--artifact is a model by itself; a model's name and --weights go together",
            fix="give a model's name, or --weights, or --artifact",
        )
    if model is not None:
        model, given = named_model(model)
        weights = weights or given
    owner = project.active().get(model or "")
    if owner is not None and owner.is_onnx and weights == owner.weights:
        with source_file(owner) as (path, notes):
            say(console, *(f"{weights}: {note}" for note in notes))
            yield path
        return
    if weights is None:
        yield artifact or checkpoints.released_path(str(model))
        return
    if weights.exists() and kind_of(weights) in EXPORTED:
        raise UsageError(f"{weights} is not a weights file", fix=f"--artifact {weights}")
    from agecompact.weights.adoption import weights_file

    with weights_file(weights, model, naming=naming) as adopted:
        say_adopted(console, weights, adopted)
        yield adopted.path


def named_model(text: str) -> tuple[str, Path | None]:
    """What a user names as a model: its id, and the weights that a project file names.

    Args:
        text: An id, or a project file, which is made active.

    Raises:
        UsageError: The project file cannot be read.
    """
    if not project.is_project(text):
        return text, None
    found = project.activate(Path(text))
    return found.spec.id, found.weights


def say_adopted(console: Console, given: Path, adopted: Adopted) -> None:
    """Says how a weights file was made from a state dict."""
    for note in adopted.notes:
        say(console, f"{given}: {note}")
