"""EfficientNet-Lite0 has the published names and shapes."""

from __future__ import annotations

import json

import torch

from agecompact.models.efficientnet_lite import EfficientNetLite0
from tests.support import REPOSITORY

_PUBLISHED = REPOSITORY / "tests" / "data" / "efficientnet-lite0-state-dict.json"


def test_the_names_and_shapes_are_those_of_the_published_weights() -> None:
    published = json.loads(_PUBLISHED.read_text())["tensors"]
    own = {name: list(value.shape) for name, value in EfficientNetLite0().state_dict().items()}
    # Except for the last layer, which predicts classes there and an age here.
    assert published.pop("_fc.weight") == [1000, 1280]
    assert published.pop("_fc.bias") == [1000]
    assert own.pop("age.weight") == [1, 1280]
    assert own.pop("age.bias") == [1]
    assert own == published


def test_its_stages_are_those_of_the_paper() -> None:
    network = EfficientNetLite0().eval()
    with torch.no_grad():
        blocks = network.block_outputs(torch.randn(2, 3, 64, 64))
    assert [tuple(blocks[end - 1].shape[1:]) for end in (1, 3, 5, 8, 11, 15, 16)] == [
        (16, 32, 32), (24, 16, 16), (40, 8, 8), (80, 4, 4), (112, 4, 4), (192, 2, 2), (320, 2, 2),
    ]  # fmt: skip
    assert len(blocks) == 16
