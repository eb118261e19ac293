"""Golden data for contracts that no released file has, without a runtime.

The answers are made up: preprocessing is tested on pixels.
"""

from __future__ import annotations

from dataclasses import replace

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract, Crop, Output, Quantization, Reading
from agecompact.integrate.answers import Golden
from agecompact.integrate.images import golden_images

_BINS = Output("bins", "years", size=4, reading=Reading("softmax-expectation", 10.0, 5.0))
_CLASS = Output("class", "class", size=3, labels=("a", "b", "c"), reading=Reading("argmax"))
_SHARES = Output("shares", "years", size=4, reading=Reading("expectation"))
_LOGIT = Output("logit", "score", reading=Reading("sigmoid"))
# A name that ends a string, or a comment, in one language or another.
HOSTILE = "a\"'`$x */ \\(y) ${z}"

AREA_BGR = Contract(
    (Crop("whole"), Crop("inner", 0.125, 0.25, 0.875, 0.75)), 40, 56, "BGR", (_LOGIT, _BINS)
)
LINEAR_RGB = Contract(
    (Crop("face"),),
    48,
    48,
    "RGB",
    (_CLASS, _SHARES, Output(HOSTILE, "years")),
    value_range=(-1.0, 1.0),
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.6, 0.7),
    layout="NHWC",
    interpolation="linear",
)
GREY = replace(LINEAR_RGB, color_order="GREY", mean=(), std=(), interpolation="area")
INT8 = replace(LINEAR_RGB, dtype="int8", quantization=Quantization(0.01, 3))
LEVELS = AREA_BGR.of_images()


def golden(contract: Contract, model: str = "made") -> Golden:
    """Golden data with answers of nothing."""
    images = golden_images(contract)
    answers = {
        image.name: {o.name: (0.0,) * o.answer_size for o in contract.outputs} for image in images
    }
    return Golden(
        metadata=ArtifactMetadata(model, "float32", contract, "0" * 64, HOSTILE, HOSTILE, {}),
        images=images,
        answers=answers,
        reference=None,
        tolerances={output.name: 0.05 for output in contract.outputs},
        faults={"red and blue are swapped": answers},
        unseen=(),
    )
