"""Batches are the contract applied chip by chip, and unreadable files are counted."""

from pathlib import Path

import cv2
import numpy as np
import torch

from agecompact.data import batches, utkface
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


def test_unreadable_files_are_counted(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "20_0_0_1.jpg"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "30_0_0_1.jpg").write_bytes(b"no image")
    chips = batches.load(utkface.read(tmp_path).faces)
    assert [face.name for face in chips.faces] == ["20_0_0_1.jpg"]
    assert (len(chips), len(chips.images), chips.unreadable) == (1, 1, 1)
