"""The options that choose a model by name or by file."""

from __future__ import annotations

from pathlib import Path

from agecompact.errors import UsageError
from agecompact.formats import FORMATS
from agecompact.weights import checkpoints


def model_file(
    model: str | None, weights: Path | None, artifact: Path | None, *, default: str | None = None
) -> Path:
    """The file that the options name.

    Args:
        model: A model with released weights.
        weights: A weights file.
        artifact: An exported file.
        default: The model if none of the three is given.

    Raises:
        UsageError: Not exactly one of the three is given, the model has no released weights, or
            `weights` is not a weights file.
    """
    if (weights, artifact) == (None, None):
        model = model or default
    if sum(given is not None for given in (model, weights, artifact)) != 1:
        raise UsageError(
            "exactly one model is needed",
            why="a model's name, --weights and --artifact exclude each other",
            fix="give one of the three",
        )
    if weights is not None and weights.suffix != FORMATS["pytorch"].suffix:
        raise UsageError(f"{weights} is not a weights file", fix=f"--artifact {weights}")
    return weights or artifact or checkpoints.released_path(str(model))
