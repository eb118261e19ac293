"""A weights file against labelled faces, through the contract stored in that file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Image
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


def predict(
    network: nn.Module, contract: Contract, images: Sequence[Image]
) -> npt.NDArray[np.float32]:
    """The network's answers for chips, `(N,)`, in evaluation mode and batches."""
    import torch

    network.eval()
    answers = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            batch = batches.inputs(contract, images[start : start + _BATCH])
            answers.append(network(*batch).squeeze(1).numpy())
    return np.concatenate(answers)


def measure(
    network: nn.Module, contract: Contract, faces: Iterable[Face]
) -> tuple[AgeMetrics | GenderMetrics, int]:
    """Measures a network on faces, a batch in memory at a time.

    Returns:
        The metrics, and how many files were no image and are not in them.
    """
    target = target_of_contract(contract)
    answers, truth, unreadable = [], [], 0
    for some in _chunks(faces):
        chips = batches.load(some)
        unreadable += chips.unreadable
        if len(chips):
            answers.append(predict(network, contract, chips.images))
            truth.append(labels(chips.faces, target))
    compare = age_metrics if target == "age" else gender_metrics
    nothing = [np.empty(0, np.float32)]
    return compare(np.concatenate(answers or nothing), np.concatenate(truth or nothing)), unreadable


def _chunks(faces: Iterable[Face]) -> Iterator[list[Face]]:
    stream = iter(faces)
    while some := list(islice(stream, _BATCH)):
        yield some
