"""A network against labelled faces, through the contract that it is deployed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.data.utkface import Face, Target, target_of
from agecompact.metrics import AgeMetrics, GenderMetrics, age_metrics, gender_metrics

if TYPE_CHECKING:
    from torch import nn

_BATCH = 64


def target_of_contract(contract: Contract) -> Target:
    """What a model with this contract answers."""
    return "age" if contract.output.unit == "years" else "gender"


def labels(faces: Iterable[Face], target: Target) -> npt.NDArray[np.float32]:
    """The values to learn, `(N,)`: years, or 0 female and 1 male."""
    return np.array([target_of(face.label, target) for face in faces], np.float32)


def measure(
    network: nn.Module, contract: Contract, faces: Sequence[Face]
) -> tuple[AgeMetrics | GenderMetrics, int]:
    """Measures a network, which it leaves in evaluation mode, with one batch in memory at a time.

    Returns:
        The metrics, and how many files were no image and are not in them.

    Raises:
        UsageError: No image can be read, or the network answers NaN or Inf.
    """
    import torch

    target = target_of_contract(contract)
    answers: list[float] = []
    truth: list[float] = []
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(faces), _BATCH):
            chips = batches.load(faces[start : start + _BATCH])
            if len(chips):
                batch = batches.inputs(contract, chips.images)
                answers += network(*batch).squeeze(1).tolist()
                truth += labels(chips.faces, target).tolist()
    compare = age_metrics if target == "age" else gender_metrics
    return compare(np.array(answers), np.array(truth)), len(faces) - len(answers)
