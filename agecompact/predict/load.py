"""Opens models by name or path, for `agecompact.load` and the verb."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agecompact.models.registry import MODELS
from agecompact.predict.predictor import Predictor
from agecompact.weights import checkpoints

# The most accurate released model, and the one that answers the gender.
DEFAULT_MODELS = ("mobileagenet", "ssrnet-gender")


def started(models: Sequence[str | Path]) -> Predictor:
    """A predictor of models, started; see `agecompact.load`."""
    paths = [_path(model) for model in models or DEFAULT_MODELS]
    return Predictor(paths).start()


def released_file(model_id: str) -> Path:
    """The file to predict with: an ONNX file beside the released weights, else the weights.

    The ONNX file holds the weights in float16 (`make released-onnx`). It is there because importing
    PyTorch takes seconds.

    Raises:
        UsageError: There is no such model, or it has no released weights.
    """
    weights = checkpoints.released_path(model_id)
    exported = weights.with_name(f"{model_id}.onnx")
    return exported if exported.is_file() else weights


def _path(model: str | Path) -> Path:
    # `released_file` refuses an unknown name, and suggests the nearest.
    is_name = str(model) in MODELS or not Path(model).suffix
    return released_file(str(model)) if is_name else Path(model)
