"""Wrong contracts inside artefacts."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.parity_tests.editing import Edit
from tests.parity_tests.faults.in_metadata import described
from tests.parity_tests.faults.planted import INPUT, planter

_CHANGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ssrnet", "onnx", {"value_range": [0.0, 1.0]}),
    ("ssrnet", "tflite", {"color_order": "RGB"}),
    ("ssrnet", "mlpackage", {"mean": [104.0, 117.0, 123.0]}),
    ("c3ae", "onnx", {"std": [58.4, 57.1, 57.4]}),
    ("c3ae-plain", "tflite", {"value_range": [-1.0, 1.0]}),
    ("mobileagenet", "onnx", {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}),
    ("mobileagenet", "tflite", {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}),
    ("mobileagenet", "mlpackage", {"value_range": [0.0, 255.0]}),
    ("mobileagenet", "onnx", {"color_order": "BGR"}),
)


def _changed(changes: dict[str, Any]) -> Edit:
    return partial(described, lambda content: content["contract"].update(changes))


FAULTS = tuple(
    planter(model, f"float32.{suffix}")(
        f"contract: {', '.join(changes)}",
        _changed(changes),
        INPUT,
        ("contract",),
        ("mismatch", "degenerate"),
    )
    for model, suffix, changes in _CHANGES
)
