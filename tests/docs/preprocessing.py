"""The table of `docs/preprocessing.md`, from the cards: `python -m tests.docs.preprocessing`."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints

_KINDS = {
    "range": "numbers",
    "layout": "layout",
    "colour": "colours",
    "framing": "framing",
    "resize": "resize",
    "picture": "compression",
}
# Where the card says what a network's own order is.
_TEXTS = {"colour-order": "swaps red and blue"}


def rows() -> Iterator[str]:
    """A line for each mistake: by how many years answers move on average, for each model."""
    costs, texts = {}, {}
    models = []
    for model in MODELS:
        record = checkpoints.read(checkpoints.released_path(model)).card.get("preprocessing")
        if record is None or record["unit"] != "years":
            continue
        models.append(model)
        for cost in record["costs"]:
            key = (cost["kind"], cost["mistake"])
            texts.setdefault(key, _TEXTS.get(cost["mistake"], cost["text"]))
            costs[key, model] = f"{cost['mean']:.2f}"
    yield f"| | if an app ... | {' | '.join(f'`{model}`' for model in models)} |"
    yield f"|---|---|{'---:|' * len(models)}"
    for kind, title in _KINDS.items():
        shown = title
        for key in (each for each in texts if each[0] == kind):
            values = (costs.get((key, model), "-") for model in models)
            yield f"| {shown} | {texts[key]} | {' | '.join(values)} |"
            shown = ""


if __name__ == "__main__":
    print("\n".join(rows()))
