"""A batch is the contract applied to each chip, and unreadable files are counted."""

from pathlib import Path

import numpy as np
import torch

from agecompact.data import batches
from agecompact.data.face import Face, Label
from agecompact.models import registry
from tests.agecompact.data.synthetic import write


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
    contents = {"good.jpg": 1, "bad.jpg": b"no image"}
    faces = []
    for name, content in contents.items():
        write(tmp_path / name, content)
        faces.append(Face(name, tmp_path / name, name, Label(20)))
    faces.append(Face("absent.jpg", tmp_path / "absent.jpg", "absent", Label(20)))
    chips = batches.load(iter(faces))
    assert [face.name for face in chips.faces] == ["good.jpg"]
    assert (len(chips), len(chips.images), chips.unreadable) == (1, 1, 2)


def test_no_faces_give_no_chips(tmp_path: Path) -> None:
    for cache in (None, tmp_path):
        assert len(batches.load((), cache)) == 0
