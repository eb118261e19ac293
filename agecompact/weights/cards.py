"""The card beside a weights file: training data, terms, split and measured error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError
from agecompact.files import pretty_json, read_json, write_text
from agecompact.formats import format_of
from agecompact.weights import checkpoints


def update(weights: Path, sections: Mapping[str, Any]) -> Path:
    """Adds or replaces sections of the card beside a weights file.

    Returns:
        The path of the card.

    Raises:
        UsageError: There is no card, or it belongs to another file.
        OutputError: The card cannot be written.
    """
    path = checkpoints.card_path(weights)
    card = read_json(path, what="card", fix="restore the card beside the weights")
    # Checks that the card belongs to the weights.
    checkpoints.read(weights)
    write_text(path, pretty_json({**card, **sections}))
    return path


def require_card(path: Path) -> None:
    """Refuses a file that has no card to update.

    Raises:
        UsageError: It is an exported file.
    """
    if format_of(path).converter is not None:
        raise UsageError(
            f"{path} has no card to update", why="only weights have one", fix="use --weights"
        )


def released(sha256: str, model_id: str) -> Mapping[str, Any]:
    """The card of a model's released weights if they have this hash, else an empty mapping."""
    if not checkpoints.is_released(model_id):
        return {}
    card = read_json(checkpoints.card_path(checkpoints.released_path(model_id)), what="card")
    return card if card.get("sha256") == sha256 else {}


def doubts(card: Mapping[str, Any], *, part: str, split_sha256: str | None) -> tuple[str, ...]:
    """Reasons to doubt that the weights were measured on faces that they were not trained on.

    Args:
        card: The card of the weights; empty if there is none.
        part: The measured part of the split, or `all`.
        split_sha256: Hash of the split; None for the whole of a data set with several folds.
    """
    split = card.get("split")
    trained = split.get("sha256") if isinstance(split, Mapping) else None
    if not isinstance(trained, str):
        return ("no card names the faces the weights were trained on: these may be among them",)
    if split_sha256 is None:
        return ("every face was measured: the weights may have been trained on some of them",)
    if trained != split_sha256:
        return (
            f"the weights were trained on another split ({trained[:12]}) than this one "
            f"({split_sha256[:12]}): they may have been trained on faces measured here",
        )
    if part in ("train", "all"):
        return (f"the part '{part}' contains the faces that the weights were trained on",)
    return ()
