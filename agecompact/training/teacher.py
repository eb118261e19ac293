"""The teacher that a student learns from, and its predictions as training targets.

A teacher sees faces through its own contract, so that a student of 64 pixels can learn from a
teacher of 128.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.files import atomic_path, canonical_json, save_array
from agecompact.training.augment import Augmentation
from agecompact.training.feed import Views
from agecompact.training.run import Run
from agecompact.weights.checkpoints import Weights

_BATCH = 64


@dataclass(frozen=True)
class Teacher:
    """A trained network that another learns from.

    Attributes:
        network: In evaluation mode; its parameters take no gradient.
        contract: How images become its inputs, NCHW.
        sha256: Hash of its weights file.
    """

    network: nn.Module
    contract: Contract
    sha256: str


def teacher_of(weights: Weights) -> Teacher:
    """Returns the teacher in a weights file.

    Raises:
        UsageError: The file does not fit its model.
    """
    return Teacher(weights.network().requires_grad_(False), weights.contract, weights.sha256)


@dataclass(frozen=True)
class TeacherTargets:
    """The teacher's predictions for the faces of each epoch, computed once and stored as files.

    Attributes:
        run: The student's training.
        teacher: The teacher.
        chips: The training faces.
        view_count: Number of augmented views that take turns; 0 if each epoch has a new view, whose
            target is then the prediction for the unchanged face.
    """

    run: Run
    teacher: Teacher
    chips: batches.Chips
    view_count: int

    def of_epoch(self, views: Views, epoch: int) -> npt.NDArray[np.float32]:
        """Returns the predictions for what an epoch shows of every face, `(faces,)`."""
        view = epoch % self.view_count if self.view_count else 0
        if not self.view_count:
            views = Views(self.chips.images, self.run.contract, Augmentation(), self.run.seed)
        key = {
            "teacher": self.teacher.sha256,
            "split": self.run.split.sha256,
            "augmentation": asdict(views.amounts),
            "seed": self.run.seed,
            "view": view,
        }
        digest = hashlib.sha256(canonical_json(key).encode()).hexdigest()[:12]
        store = self.run.out / f"teacher-{digest}.npy"
        predict = partial(
            predictions, self.teacher, views, len(self.chips), view, store, self.run.fabric.device
        )
        # One process computes the file, and the others read it.
        if self.run.fabric.is_global_zero:
            title = f"teacher, view {view + 1}"
            with self.run.watch.progress(title, math.ceil(len(self.chips) / _BATCH)) as step:
                predict(partial(step, title))
        self.run.fabric.barrier()
        return predict(lambda: None)


def predictions(
    teacher: Teacher,
    views: Views,
    count: int,
    view: int,
    store: Path,
    device: torch.device,
    step: Callable[[], None],
) -> npt.NDArray[np.float32]:
    """Returns the teacher's predictions for one view of every face, computed once and stored.

    Args:
        teacher: The teacher.
        views: The views, as the student will see them.
        count: Number of faces.
        view: Which view.
        store: File of this view's predictions; read if it exists and is complete.
        device: Where the teacher runs.
        step: Called after each batch.

    Returns:
        float32 `(count,)`.
    """
    stored = _stored(store)
    if stored is not None and stored.shape == (count,):
        return stored
    network = teacher.network.to(device)
    values = []
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            images = [views.image(view, i) for i in range(start, min(start + _BATCH, count))]
            inputs = batches.inputs(teacher.contract, images)
            values.append(network(*(value.to(device) for value in inputs)).squeeze(1).cpu().numpy())
            step()
    predicted = np.concatenate(values).astype(np.float32)
    with atomic_path(store) as temporary, temporary.open("wb") as stream:
        save_array(stream, predicted)
    return predicted


def _stored(store: Path) -> npt.NDArray[np.float32] | None:
    if not store.is_file():
        return None
    try:
        stored: npt.NDArray[np.float32] = np.load(store, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError):
        # The file is broken, or a pickle, which is never opened.
        return None
    return stored
