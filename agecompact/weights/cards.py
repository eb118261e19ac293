"""The card beside a weights file: its data, terms, split and measured error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError
from agecompact.files import pretty_json, read_json, write_text
from agecompact.weights import checkpoints


def update(weights: Path, measured: Mapping[str, Any]) -> Path:
    """Puts `sections` into the card beside a weights file, which is not touched.

    Returns:
        The card.

    Raises:
        UsageError: There is no card, or it is another file's.
        OutputError: The card cannot be written.
    """
    place = checkpoints.card_path(weights)
    card = read_json(place, what="card")
    checkpoints.read(weights)
    write_text(place, pretty_json({**card, **measured}))
    return place


def released(sha256: str, model_id: str) -> Mapping[str, Any]:
    """The card of the released weights of a model, if those have this hash; else an empty one."""
    try:
        place = checkpoints.card_path(checkpoints.released_path(model_id))
    except UsageError:
        # A model of one's own has no released weights, which is no fault.
        return {}
    card = read_json(place, what="card")
    return card if card.get("sha256") == sha256 else {}


def doubts(card: Mapping[str, Any], *, part: str, split_sha256: str) -> tuple[str, ...]:
    """What speaks against a figure being one of faces that the weights have never seen.

    Args:
        card: Of the weights; empty where there is none.
        part: The part measured, or `all`.
        split_sha256: Hash of the split that it is a part of.
    """
    split = card.get("split")
    trained = split.get("sha256") if isinstance(split, Mapping) else None
    if trained is None:
        return ("no card says which faces the weights were trained on, these may be among them",)
    if trained != split_sha256:
        return (
            f"the weights were trained on another split ({trained[:12]}) than this one "
            f"({split_sha256[:12]}): faces measured here may have been trained on",
        )
    if part in ("train", "all"):
        return (f"the part '{part}' holds the faces that the weights were trained on",)
    return ()
