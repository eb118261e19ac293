"""Chips in memory, and batches of them exactly as the contract feeds the deployed model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.data.utkface import Face, decode

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Chips:
    """Decoded faces.

    Attributes:
        images: uint8 HWC BGR, one a face.
        faces: The faces, in the order of `images`.
        unreadable: How many files were no image and are missing here.
    """

    images: tuple[Image, ...]
    faces: tuple[Face, ...]
    unreadable: int

    def __len__(self) -> int:
        return len(self.faces)


def load(faces: Iterable[Face]) -> Chips:
    """Decodes faces into memory: 120 kB each, 1.8 GB for UTKFace's training part."""
    decoded = [(face, decode(face)) for face in faces]
    readable = [(face, image) for face, image in decoded if image is not None]
    return Chips(
        images=tuple(image for _, image in readable),
        faces=tuple(face for face, _ in readable),
        unreadable=len(decoded) - len(readable),
    )


def inputs(contract: Contract, images: Sequence[Image]) -> tuple[Tensor, ...]:
    """The network's inputs for a batch of chips, one tensor a crop, as the contract makes them.

    Args:
        contract: Crops, size, colour order and scale; NCHW.
        images: Chips, uint8 HWC BGR.

    Returns:
        float32 `(N, 3, height, width)` in channels-last memory, which a CPU trains on fastest.
    """
    import torch

    applied = [contract.apply(image) for image in images]
    return tuple(
        torch.from_numpy(np.concatenate([tensors[name] for tensors in applied])).to(
            memory_format=torch.channels_last
        )
        for name in contract.input_names
    )
