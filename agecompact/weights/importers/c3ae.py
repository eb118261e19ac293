"""The layouts of github.com/StevenBanama/C3AE, `nets/C3AE.py`, and of its fork YanzuoLu/C3AE.

They differ from the paper: no layer of 12 features per crop, 12 bins from 0 to 110 years, and
either no squeeze-and-excitation (48,377 parameters) or one with bias after each of the five blocks
(53,737). W1 is a Dense softmax, or a 1x1 convolution with softmax and a global max pool over its
only pixel, which is the same function. Keras flattens maps in HWC order, as our network does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container

from agecompact.models import registry
from agecompact.weights.importers import Layout

_BLOCKS = (1, 2, 3, 4, 5)


def recognise(layers: Container[str]) -> Layout:
    """The layout with squeeze-and-excitation if the file has unnamed Dense layers, else without."""
    se_after = _BLOCKS if "dense_1" in layers else ()
    table = {f"trunk.{i - 1}.conv": f"conv{i}" for i in _BLOCKS}
    table |= {f"trunk.{i - 1}.bn": f"batch_normalization_{i}" for i in _BLOCKS[:-1]}
    for i in se_after:
        table[f"trunk.{i - 1}.se.squeeze"] = f"dense_{2 * i - 1}"
        table[f"trunk.{i - 1}.se.excite"] = f"dense_{2 * i}"
    table["w1"] = "conv2d_1" if "conv2d_1" in layers else "W1"
    table["age"] = "age"
    return Layout(
        model_id="c3ae",
        config={
            "features": None,
            "bins": 12,
            "interval": 10.0,
            "se_after": list(se_after),
            "se_bias": True,
            "dropout": 0.0,
        },
        # The authors resize with cv2.resize's default.
        contract=dataclasses.replace(registry.get("c3ae").contract, interpolation="linear"),
        layers=table,
        lambdas=frozenset(),
        repository="https://github.com/StevenBanama/C3AE",
        licence="BSD-2-Clause",
        assumed="images BGR 0..255, without the repository's optional white_norm; "
        "its crops follow MTCNN's box and nose, the contract's the face chip",
    )
