"""Batches for training: augmented chips through the contract, in the order of a seed.

The seed, the epoch and the face alone determine what a face looks like: neither the number of
processes nor a resumption changes it.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from agecompact.children import end_with_parent
from agecompact.contract import Contract, Image
from agecompact.data import batches
from agecompact.errors import MachineError
from agecompact.training.augment import Augmentation, augment, deliver

Key = tuple[int, int]

# Micro-batches that each worker prepares ahead, in shared memory.
_AHEAD = 2
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Batch:
    """One micro-batch: what BN sees at once.

    Attributes:
        inputs: float32 NCHW, one tensor per crop.
        indices: Indices of its faces in the training part.
    """

    inputs: tuple[Tensor, ...]
    indices: npt.NDArray[np.int64]


class Views(Dataset[Batch]):
    """Augmented views of chips, indexed by (view, face).

    Args:
        images: Chips, uint8 HWC BGR.
        contract: How they become inputs.
        amounts: How far they are augmented.
        seed: Seed of the augmentation.
    """

    def __init__(
        self, images: Sequence[Image], contract: Contract, amounts: Augmentation, seed: int
    ) -> None:
        self._images = images
        self._contract = contract
        self.amounts = amounts
        self._seed = seed

    @property
    def face_bytes(self) -> int:
        """Size of one face as input tensors, float32."""
        contract = self._contract
        return len(contract.crops) * contract.height * contract.width * 3 * 4

    def image(self, view: int, index: int) -> Image:
        """Returns one view of one face, uint8 HWC BGR."""
        random = np.random.default_rng((self._seed, view, index))
        return augment(self._images[index], self.amounts, random)

    def crops(self, view: int, index: int) -> dict[str, Image]:
        """Returns the crops of one view of one face, as an app might make them.

        A teacher does not see this, but `image`: the student learns the answer for a face that is
        resized as the contract says, whatever the app does.
        """
        random = np.random.default_rng((self._seed, view, index, 1))
        return deliver(self.image(view, index), self._contract, self.amounts, random)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """Returns a micro-batch of one view; torch's fetcher calls this rather than __getitem__."""
        crops = [self.crops(view, index) for view, index in keys]
        indices = np.array([index for _, index in keys])
        return Batch(batches.inputs_of_crops(self._contract, crops), indices)


@dataclass(frozen=True)
class BatchPlan:
    """Which faces each process sees, in which order.

    Attributes:
        batch: Faces per step, over all processes.
        parts: Micro-batches per step, over all processes.
        rank: Rank of this process.
        processes: Number of processes.
        seed: Seed of the order.
        views: Number of views of a face, or 0 for a new one each epoch.
    """

    batch: int
    parts: int
    rank: int
    processes: int
    seed: int
    views: int

    def steps(self, count: int) -> int:
        """Returns the steps of an epoch over `count` faces; it leaves out a remainder."""
        return max(count // self.batch, 1)

    def keys(self, count: int, epoch: int) -> Iterator[list[Key]]:
        """Yields this process's micro-batches of an epoch."""
        order = np.random.default_rng((self.seed, epoch)).permutation(count)
        view = epoch % self.views if self.views else epoch
        for step in range(self.steps(count)):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            for part in np.array_split(chosen, self.parts)[self.rank :: self.processes]:
                yield [(view, int(index)) for index in part]


def loader(
    views: Views, plan: BatchPlan, count: int, epoch: int, workers: int
) -> DataLoader[Batch]:
    """Loads this process's micro-batches of an epoch, `workers` processes preparing them ahead.

    Raises:
        MachineError: The workers' batches do not fit into shared memory.
    """
    faces = math.ceil(plan.batch / plan.parts)
    _check_shared_memory(faces * views.face_bytes * _AHEAD * workers)
    return DataLoader(
        views,
        batch_sampler=list(plan.keys(count, epoch)),
        collate_fn=_unchanged,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=end_with_parent,
        # Otherwise the workers' base seed would be drawn from the generator that dropout uses.
        generator=torch.Generator().manual_seed(0),
    )


def _check_shared_memory(needed_bytes: int) -> None:
    if not _SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if free < needed_bytes:
        # A worker that cannot pass its batch on says nothing, and the training would wait forever.
        raise MachineError(
            f"the shared memory is too small: {_SHARED_MEMORY} has {free / 1e6:,.0f} MB left",
            why=f"the batches that workers prepare take {needed_bytes / 1e6:,.0f} MB",
            fix="train with --workers 0, or make it larger (in Docker: --shm-size 2g)",
        )


def _unchanged(batch: Any) -> Any:
    # Not a lambda, which cannot be sent to workers that are spawned (macOS, Windows).
    return batch


def sized(contract: Contract, side: int) -> Contract:
    """Returns the contract at another input size, or unchanged if `side` is 0."""
    return dataclasses.replace(contract, height=side, width=side) if side else contract
