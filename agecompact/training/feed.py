"""Batches for training: augmented chips through the contract, in the order of a seed.

What a face looks like in an epoch follows from the seed, the epoch and the face alone: not from the
process that shows it, nor from how many there are, nor from where a training was resumed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from agecompact.contract import Contract, Image
from agecompact.data import batches
from agecompact.training.augment import Augmentation, augment

Key = tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """One micro-batch: what BN sees at once.

    Attributes:
        inputs: float32 NCHW, one tensor a crop.
        indices: Which faces of the training part.
        view: Which augmented view of them.
    """

    inputs: tuple[Tensor, ...]
    indices: npt.NDArray[np.int64]
    view: int


class Views(Dataset[Batch]):
    """Augmented views of chips, asked for by (view, face).

    Args:
        images: Chips, uint8 HWC BGR.
        contract: How they become inputs.
        amounts: Augmentation.
        seed: Of the augmentation.
    """

    def __init__(
        self, images: Sequence[Image], contract: Contract, amounts: Augmentation, seed: int
    ) -> None:
        self._images = images
        self._contract = contract
        self.amounts = amounts
        self._seed = seed

    def image(self, view: int, index: int) -> Image:
        """One view of one face, uint8 HWC BGR."""
        random = np.random.default_rng((self._seed, view, index))
        return augment(self._images[index], self.amounts, random)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """A micro-batch of one view; torch's fetcher prefers this to an item at a time."""
        images = [self.image(view, index) for view, index in keys]
        indices = np.array([index for _, index in keys])
        return Batch(batches.inputs(self._contract, images), indices, keys[0][0])


@dataclass(frozen=True)
class Plan:
    """Who sees what in which order.

    Attributes:
        batch: Faces a step, over all processes.
        parts: In how many micro-batches a step falls, over all processes.
        rank: Of this process.
        processes: How many there are.
        seed: Of the order.
        views: How many views of a face there are, or 0 for one an epoch.
    """

    batch: int
    parts: int
    rank: int
    processes: int
    seed: int
    views: int

    def steps(self, count: int) -> int:
        """Steps an epoch over `count` faces. A remainder waits for another epoch's order."""
        return max(count // self.batch, 1)

    def keys(self, count: int, epoch: int) -> Iterator[list[Key]]:
        """This process's micro-batches of an epoch."""
        order = np.random.default_rng((self.seed, epoch)).permutation(count)
        view = epoch % self.views if self.views else epoch
        for step in range(self.steps(count)):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            for part in np.array_split(chosen, self.parts)[self.rank :: self.processes]:
                yield [(view, int(index)) for index in part]


def loader(views: Views, plan: Plan, count: int, epoch: int, workers: int) -> DataLoader[Batch]:
    """This process's micro-batches of an epoch, prepared by `workers` processes ahead of use."""
    return DataLoader(
        views,
        batch_sampler=list(plan.keys(count, epoch)),
        collate_fn=_as_it_is,
        num_workers=workers,
        # Its only use here is a base seed for workers, and drawing it would disturb dropout's.
        generator=torch.Generator().manual_seed(0),
    )


def _as_it_is(batch: Any) -> Any:
    # By name, as workers that are spawned (macOS, Windows) can be sent no lambda.
    return batch


def sized(contract: Contract, side: int) -> Contract:
    """The contract at another input size, or as it is where `side` is 0."""
    return dataclasses.replace(contract, height=side, width=side) if side else contract
