"""Compact face-age networks from PyTorch to a phone, with the error of every step in years."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agecompact.predict.predictor import Predictor

__version__ = "0.1.0"

# ONNX Runtime sends usage events to its maker unless this is set before it is loaded. Worker
# processes inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load(*models: str | Path) -> Predictor:
    """Opens models that predict the ages of faces in pictures.

    >>> with agecompact.load("mobileagenet") as predictor:
    ...     predictor.predict("photo.jpg")[0].age_years

    Args:
        models: Names of models with released weights, such as `ssrnet`, or paths of exported files
            or weights files; by default the most accurate model, and one for the gender.

    Returns:
        A started predictor: use it in a `with` block, or call its `close`.

    Raises:
        UsageError: There is no such model, or a file cannot be used.
        BackendMissingError: The runtime of a file is not installed.
    """
    from agecompact.predict.load import started

    return started(models)
