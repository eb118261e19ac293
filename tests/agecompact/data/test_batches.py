"""A batch is the contract applied to each chip."""

from pathlib import Path

import numpy as np
import torch

from agecompact.data import batches
from agecompact.models import registry


def test_a_batch_is_the_contract_on_each_chip() -> None:
    chips = list(np.random.default_rng(0).integers(0, 256, (3, 50, 40, 3), np.uint8))
    for spec in registry.MODELS.values():
        inputs = batches.inputs(spec.contract, chips)
        assert len(inputs) == len(spec.contract.crops)
        for i, chip in enumerate(chips):
            for tensor, name in zip(inputs, spec.contract.input_names, strict=True):
                expected = torch.from_numpy(spec.contract.apply(chip)[name])
                assert torch.equal(tensor[i : i + 1], expected)


def test_no_faces_give_no_chips(tmp_path: Path) -> None:
    for cache in (None, tmp_path):
        assert len(batches.load((), cache)) == 0
