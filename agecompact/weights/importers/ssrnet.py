"""The layout of github.com/shamangary/SSR-Net, `training_and_testing/SSRNET_model.py`.

Age and gender differ in the name of one layer per stage. Keras flattens maps in HWC order, as our
network does, so the inputs of Linears need no permutation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container

from agecompact.models import registry
from agecompact.weights.importers import Layout


def recognise(layers: Container[str]) -> Layout:
    """The gender layout if the file has its layers, else the age layout."""
    gender = "pred_stage1" in layers
    model_id = "ssrnet-gender" if gender else "ssrnet"
    return Layout(
        model_id=model_id,
        config={},
        # The authors resize with cv2.resize's default.
        contract=dataclasses.replace(registry.get(model_id).contract, interpolation="linear"),
        layers=_layers("pred_stage" if gender else "pred_age_stage"),
        lambdas=frozenset({"pred" if gender else "pred_a"}),
        repository="https://github.com/shamangary/SSR-Net",
        licence="Apache-2.0",
        assumed="lambda_local = lambda_d = 1, as in the repository's pre-trained models; "
        "images BGR 0..255",
    )


def _layers(distribution: str) -> dict[str, str]:
    """Layers by module. Keras numbers stream x, then stream s, then each stage with s before x."""
    table = {}
    for stream, first in (("x_stream", 1), ("s_stream", 5)):
        for i in range(4):
            table[f"{stream}.blocks.{i}.0"] = f"conv2d_{first + i}"
            table[f"{stream}.blocks.{i}.1"] = f"batch_normalization_{first + i}"
    for k in range(3):
        table |= {
            f"stages.{k}.s.reduce": f"conv2d_{9 + 2 * k}",
            f"stages.{k}.x.reduce": f"conv2d_{10 + 2 * k}",
            f"stages.{k}.s.project.1": f"dense_{1 + 3 * k}",
            f"stages.{k}.x.project.1": f"dense_{2 + 3 * k}",
            f"stages.{k}.mix": f"dense_{3 + 3 * k}",
            f"stages.{k}.p": f"{distribution}{k + 1}",
            f"stages.{k}.eta": f"local_delta_stage{k + 1}",
            f"stages.{k}.delta": f"delta_s{k + 1}",
        }
    return table
