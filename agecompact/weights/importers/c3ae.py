"""The layouts of github.com/StevenBanama/C3AE, `nets/C3AE.py`, and of its fork YanzuoLu/C3AE.

They differ from the paper: no layer of 12 features per crop, 12 bins from 0 to 110 years, and
either no squeeze-and-excitation (48,377 parameters) or one with bias after each of the five blocks
(53,737). W1 is a Dense softmax, or a 1x1 convolution with softmax and a global max pool over its
only pixel, which is the same function. Keras flattens maps in HWC order, as our network does.

The code makes the layers, and Keras saves them, in the order of our network's modules.
"""

from __future__ import annotations

import dataclasses

from agecompact.models import registry
from agecompact.weights.importers.layouts import Layout
from agecompact.weights.importers.topology import Habits

HABITS = Habits(flattened={512: (1, 32, 16), 1536: (3, 32, 16)})


def layouts() -> tuple[Layout, ...]:
    """Without squeeze-and-excitation, and with it."""
    return (
        _layout("'c3ae' with 12 bins", ()),
        _layout("'c3ae' with 12 bins and squeeze-and-excitation", (1, 2, 3, 4, 5)),
    )


def _layout(title: str, se_after: tuple[int, ...]) -> Layout:
    return Layout(
        model_id="c3ae",
        title=title,
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
        habits=HABITS,
        mark="",
        readouts=frozenset(),
        repository="https://github.com/StevenBanama/C3AE",
        licence="BSD-2-Clause",
        assumed="images BGR 0..255, without the repository's optional white_norm; "
        "its crops follow MTCNN's box and nose, the contract's the face chip",
    )
