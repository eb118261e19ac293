"""Faces for tests that calibrate: views of the shipped face, darker and lighter."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from agecompact.contract import Image
from agecompact.models import registry
from parity_tests import inputs


def lit_faces(lights: Iterable[float]) -> list[Image]:
    """Each view in each light, uint8 BGR chips."""
    contract = registry.get("ssrnet").contract
    views = [s.crops["face"] for s in inputs.fixed(contract) if s.kind == "face"]
    return [
        np.clip(view.astype(float) * light, 0, 255).astype(np.uint8)
        for light in lights
        for view in views
    ]


def write_lit_faces(folder: Path, lights: Iterable[float]) -> Path:
    """Writes them into a folder, which is made, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, chip in enumerate(lit_faces(lights)):
        cv2.imwrite(str(folder / f"{number:03}.png"), chip)
    return folder
